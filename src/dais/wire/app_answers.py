"""What the native API answers of apps."""

from __future__ import annotations

import msgspec

from dais.wire.answer import Answer


class JobApp(Answer, frozen=True, kw_only=True):
    """An app of a running job as it is now: `state` is running, ready (started on first use), ended, missing, silent
    (a port of the job's own where nothing listens) or unknown; `action` is what reaching it needs.

    `url` is where browsers open it; None for what is no HTTP, or gets its address once it is opened. `public`: whoever
    has the address reaches it. A page of Dais (`protocol` is page) has no port."""

    name: str
    title: str = ""
    port: int | None = None
    protocol: str
    action: str
    origin: str
    state: str
    detail: str | None = None
    exit_code: int | None = None
    url: str | None = None
    public: bool = False


class JobApps(Answer, frozen=True, kw_only=True):
    """The apps of a running job."""

    job: str
    apps: list[JobApp] = msgspec.field(default_factory=list)


class OpenedApp(Answer, frozen=True, kw_only=True):
    """An app that answers now. `url` is where browsers open it; None for what is no HTTP."""

    job: str
    name: str
    port: int | None = None
    protocol: str
    path: str
    action: str
    url: str | None = None


class AppLog(Answer, frozen=True, kw_only=True):
    """The end of what an app printed since it was started."""

    job: str
    name: str
    output: str
