"""What an app of a job is, to whoever opens one."""

from __future__ import annotations

from typing import Literal

import msgspec

from dais.compute.apps.definition import Definition

Protocol = Literal["http", "tcp", "page"]
ActionNeeded = Literal["job:get", "job:exec"]
State = Literal["running", "ready", "ended", "missing", "silent", "unknown"]


class App(msgspec.Struct, frozen=True, kw_only=True):
    """An app that a job has or could have.

    `ports` are inside the job; the first is the one that is opened. A `page` is one of Dais's own and has none.
    `origin` is `job` (a port that its specification names), `image` (its labels) or `dais` (built in). Dais starts
    nothing where `starts` is False: the job itself listens there. `definition` is the built-in one; an image may bring
    another.
    """

    name: str
    ports: tuple[int, ...]
    protocol: Protocol = "http"
    action: ActionNeeded = "job:exec"
    origin: Literal["job", "image", "dais"] = "job"
    starts: bool = False
    definition: Definition | None = None
    title: str = ""

    @property
    def port(self) -> int | None:
        """Its port inside the job; None for a page of Dais."""
        return self.ports[0] if self.ports else None


class OpenedApp(msgspec.Struct, frozen=True, kw_only=True):
    """Where an app is: a port of the job, the action that reaching it needs, and what to open there.

    `path` begins with `/` and may hold the variables {protocol}, {host} and {port} of the address that it is reached
    at; `address` fills them. A `page` has no port: its path is below Dais's own address.
    """

    name: str
    port: int | None
    protocol: Protocol = "http"
    path: str = "/"
    action: ActionNeeded = "job:get"


class AppState(msgspec.Struct, frozen=True, kw_only=True):
    """An app as it is now. `path` is what to open at its address, without the secret that it may have been given.

    `running`: it answers. `ready`: it is started on first use. `ended`: it was started and has ended, and is started
    again on the next use. `missing`: it cannot be started, as `detail` says. `silent`: a port of the job's own where
    nothing listens. `unknown`: nobody could look.
    """

    app: App
    state: State
    detail: str = ""
    exit_code: int | None = None
    path: str = "/"


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What the job says of an app that was started there. `secret` opens it where others reach its port."""

    ports: tuple[int, ...] = ()
    secret: str = ""
    running: bool = False
    exit_code: int | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a look inside a job found: definition files by name, programs by name, and apps that were started."""

    definitions: dict[str, str] = {}
    programs: dict[str, str] = {}
    apps: dict[str, Started] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a start went; `problem` is ended, silent, locked or failed, and `output` the end of what it printed."""

    ports: tuple[int, ...] = ()
    secret: str = ""
    problem: str = ""
    message: str = ""
    exit_code: int | None = None
    output: str = ""
