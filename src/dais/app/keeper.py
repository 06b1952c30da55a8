"""The keeper: what stays root of `dais up`, beside the node supervisor.

It starts the server as another user, passes signals to it and its exit code on, and starts the supervisor again when
the server asks. That is all it takes from the server; while the server starts, also the profile of its administrator,
which goes into the profile file of whoever said `dais up`. It imports the standard library and what is imported anyway,
and lets go of all that once the server answers (`watch`).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dais.app import watch
from dais.app.kept import become_server
from dais.app.standing import Profiles, ServerLock, Standing, address, is_apart
from dais.app.watch import MOST_BYTES, Watch
from dais.kit.data_directory import prepare
from dais.kit.errors import DaisError, Invalid, Unavailable
from dais.sdk.errors import DaisError as ClientError
from dais.sdk.profiles import Profile

_passed_on = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def step_apart(data_dir: Path, config: Path | None, told: int | None, check: Callable[[], object]) -> Standing | int:
    """Called by root. Returns in the process that is to be the server how it stands; in the keeper, once the server
    has ended, its exit code.

    `told` is a descriptor that is the server's alone; `check` raises DaisError for what could not be served whoever the
    server is. Raises Invalid then, Conflict where a server runs already, and Unavailable.
    """
    if not data_dir.is_dir() or not is_apart(data_dir):
        _refuse(check)  # else nothing is made that was not there, and the server says itself what is wrong
    if not data_dir.is_dir():
        prepare(data_dir)
    lock = ServerLock(data_dir)
    lock.take()
    was_apart = is_apart(data_dir)
    found = _in_child(lambda: _lay_out(data_dir, config))
    if "uid" not in found:
        if was_apart:
            _refuse(check)
        return _as_root(data_dir, lock, was_apart, found.get("obstacle") or found["error"])
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    signals = {*_passed_on, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    keeper_pid = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return become_server(data_dir, config, found["uid"], found["gid"], lock, theirs, keeper_pid)
    theirs.close()
    keeper = Keeper(pid, ours, signals, data_dir / "node", found["lease"])
    obstacle = keeper.obstacle()
    if obstacle is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return _as_root(data_dir, lock, was_apart, obstacle)
    lock.let_go()
    if told is not None:
        os.close(told)
    return keeper.run()


def _as_root(data_dir: Path, lock: ServerLock, was_apart: bool, obstacle: str) -> Standing:
    """The server is root, but never with what another user could have prepared for it. Raises Unavailable."""
    if not was_apart:
        return Standing(lock=lock, obstacle=obstacle)
    raise Unavailable(
        f"{data_dir} belongs to a server that is not root, and that cannot be now: {obstacle}. To let root have it "
        f"again, if you trust what is in it: chown -hR root:root {data_dir} && chmod 0700 {data_dir}",
        code="not-apart",
    )


class Keeper(Watch):
    """The process that stays, until the server is ready: then `watch` goes on in its place."""

    def __init__(self, pid: int, server: socket.socket, signals: set[signal.Signals], node: Path, lease: str) -> None:
        super().__init__(pid, server.detach(), _signal_descriptor(signals), starter_command(node, lease))
        self._ready = False

    def obstacle(self) -> str | None:
        """The server's first word: why it cannot be, if it cannot; that process has ended then."""
        body = os.read(self.server, MOST_BYTES)
        problem = json.loads(body).get("unfit") if body else None
        if problem is None:
            return None
        os.waitpid(self.pid, 0)
        os.close(self.server)
        os.close(self.signals)
        return str(problem)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "profile":
            name = str(request["name"])
            account = request["account"]
            profile = Profile(str(request["url"]), str(request["token"]), None if account is None else str(account))
            return _in_child(lambda: _write_profile(name, profile))
        self._ready = request["op"] == "ready"
        return super().answer(request)

    def _on_request(self) -> bool:
        goes_on = super()._on_request()
        if self._ready:
            self._shrink()
        return goes_on

    def _shrink(self) -> None:
        """Go on as the same process with next to nothing in memory; where that cannot be, as it is."""
        argv = watch.command(self.pid, self.server, self.signals, self.starter)
        for fd in (self.server, self.signals):
            os.set_inheritable(fd, True)
        with contextlib.suppress(OSError):
            os.execv(argv[0], argv)  # noqa: S606 (ours)


def starter_command(node: Path, lease: str) -> list[str]:
    """A command that starts the supervisor of a directory that was laid out, and answers what came of it.

    It finds what this process finds, and nothing by the environment.
    """
    code = "import sys; sys.path[:] = sys.argv[3:]; from dais.app.keeper import start; start(*sys.argv[1:3])"
    return [sys.executable, "-I", "-S", "-c", code, str(node), lease, *(place for place in sys.path if place)]


def start(node: str, lease: str) -> None:
    """Start the supervisor of a directory; the answer goes to stdout."""
    sys.stdout.write(json.dumps(_in_child(lambda: _start(Path(node), lease))))


def _start(node: Path, lease: str) -> dict[str, Any]:
    from dais.app.privileges import start_apart

    start_apart(node, lease)
    return {}


def _write_profile(name: str, profile: Profile) -> dict[str, Any]:
    """A new name, or one whose token is known: nobody's access to another server is lost."""
    profiles = Profiles()
    known = profiles.read().get(name)
    if known is not None and known.token is not None and known.token != profile.token and not _same(known, profile):
        raise ValueError(f"profile {name} is for another server")
    return {"path": str(profiles.write(name, profile))}


def _same(one: Profile, other: Profile) -> bool:
    return address(one.url) == address(other.url)


def _in_child(action: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `action` answers, in a process of its own: what it imports is not kept."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = action()
        except (OSError, ValueError, DaisError, ClientError) as error:
            answer = {"error": error.message if isinstance(error, DaisError) else str(error)}
        except BaseException as error:
            answer = {"error": repr(error)}
        os.write(told, json.dumps(answer).encode()[:MOST_BYTES])
        os._exit(0)
    os.close(told)
    with os.fdopen(heard, "rb") as file:
        body = file.read()
    os.waitpid(pid, 0)
    found: dict[str, Any] = json.loads(body) if body else {"error": "it ended without an answer"}
    return found


def _refuse(check: Callable[[], object]) -> None:
    """Ask in a child whether anything can be served. Raises Invalid, ModuleNotFoundError."""
    refused = _in_child(lambda: _checked(check))
    if "missing" in refused:
        raise ModuleNotFoundError(refused["missing"], name=refused["missing"])
    if "error" in refused:
        raise Invalid(refused["error"], code="refused")


def _checked(check: Callable[[], object]) -> dict[str, Any]:
    try:
        check()
    except ModuleNotFoundError as error:
        return {"missing": error.name}
    return {}


def _lay_out(data_dir: Path, config: Path | None) -> dict[str, Any]:
    from dais.app.privileges import Obstacle, lay_out

    try:
        found = lay_out(data_dir, config)
    except (Obstacle, OSError) as error:
        return {"obstacle": str(error)}
    return {"uid": found.uid, "gid": found.gid, "lease": found.lease}


def _signal_descriptor(signals: set[signal.Signals]) -> int:
    """A descriptor that tells of these signals, with who has sent them."""
    mask = sum(1 << (number - 1) for number in signals).to_bytes(128, "little")
    fd = int(ctypes.CDLL(None, use_errno=True).signalfd(-1, ctypes.c_char_p(mask), os.O_CLOEXEC))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "signalfd")
    return fd
