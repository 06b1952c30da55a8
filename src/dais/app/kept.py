"""The server's side of its keeper: giving up root for good, and asking for what only root can do."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dais.app.standing import Profiles, ServerLock, Standing
from dais.kit.errors import DaisError
from dais.node import kernel
from dais.sdk.errors import DaisError as ClientError
from dais.sdk.profiles import Profile

_most_bytes = 64 << 10
_pr_capbset_drop, _most_capabilities = 24, 64


def become_server(
    data_dir: Path, config: Path | None, uid: int, gid: int, lock: ServerLock, keeper: socket.socket, parent: int
) -> Standing:
    """Make this process, a child of the keeper, an ordinary user's. Ends it when it cannot be the server then.

    `parent` is the keeper's pid, known before the fork: who asks for it afterwards may be an orphan already.
    """
    _die_with(parent)
    from dais.app.privileges import root_configuration

    line = Line(keeper)
    configuration = root_configuration(data_dir, config)
    profiles = KeptProfiles(line)
    drop(uid, gid)
    _die_with(parent)  # once more: another user's process has it no longer
    os.environ |= {"HOME": str(data_dir), "USER": "dais", "LOGNAME": "dais"}
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    problem = _problem(data_dir)
    line.say({"unfit": problem})
    if problem is not None:
        os._exit(1)
    return Standing(
        lock=lock, starter=line.start_supervisor, profiles=profiles, configuration=configuration, apart=True
    )


def _die_with(parent: int) -> None:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def drop(uid: int, gid: int) -> None:
    """Give up root: user, groups, capabilities, and every way back. Raises OSError."""
    for number in range(_most_capabilities):
        try:
            kernel.prctl(_pr_capbset_drop, number)
        except OSError:
            break  # the kernel has no more
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)


def _problem(data_dir: Path) -> str | None:
    """Why this user cannot be the server after all."""
    try:
        os.chdir(data_dir)
        importlib.import_module("dais.app.serve")
    except (OSError, ImportError) as error:
        return f"as user {os.getuid()} it does not start: {error}; install Dais where everybody may read it"
    return None


class Line:
    """The connection to the keeper: a question, an answer."""

    def __init__(self, keeper: socket.socket) -> None:
        self._keeper = keeper
        self._asking = threading.Lock()

    def say(self, word: Mapping[str, Any]) -> None:
        """Tell, without an answer."""
        self._keeper.send(json.dumps(word).encode())

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Raises OSError with the keeper's words."""
        with self._asking:
            self.say(request)
            body = self._keeper.recv(_most_bytes)
        if not body:
            raise ConnectionError("the process that started this server has gone")
        answer: dict[str, Any] = json.loads(body)
        if "error" in answer:
            raise OSError(answer["error"])
        return answer

    def start_supervisor(self) -> None:
        """Raises OSError."""
        self.ask({"op": "supervisor"})


class KeptProfiles(Profiles):
    """The profile file of the user who is root: read before root was given up, written by the keeper."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._login = super().login()
        self._problem: Exception | None = None
        self._known: dict[str, Profile] = {}
        try:
            self._known = super().read()
        except (OSError, ClientError, DaisError) as error:
            self._problem = error

    def login(self) -> str:
        return self._login

    def read(self) -> dict[str, Profile]:
        if self._problem is not None:
            raise self._problem
        return dict(self._known)

    def write(self, name: str, profile: Profile) -> Path:
        request = {
            "op": "profile",
            "name": name,
            "url": profile.url,
            "token": profile.token,
            "account": profile.account,
        }
        path = Path(self._line.ask(request)["path"])
        self._known[name] = profile
        return path

    def done(self) -> None:
        self._line.ask({"op": "ready"})
