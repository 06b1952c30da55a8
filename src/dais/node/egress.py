"""A job's way to the internet, as the supervisor sees it: a helper, and the namespaces that it hands over.

`gateway` is the helper, and says how it is made. It is started before the container and killed after it; the kernel
then ends whatever it has started. When the supervisor dies, the helper dies with it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys

from dais.node.gateway import REQUEST_FD, STATUS_FD, TUN
from dais.node.launch import LaunchFailed
from dais.node.loop import READ
from dais.node.processes import MARK, send
from dais.node.spawn import SpawnError, spawn_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dais.node.keeper import Keeper
    from dais.node.launch import Machine
    from dais.node.spec import LaunchSpec


_KILL_SECONDS = 2.0
SECONDS = 15.0
"""How long a helper may take; it takes a tenth of a second."""
_HELPER = (
    f"import sys; sys.path.insert(0, {os.path.dirname(os.path.dirname(os.path.dirname(__file__)))!r}); "
    "from dais.node.gateway import main; main()"
)


class Egress:
    """One job's way, from the helper's start to its end. `on_done` is called once: with None, or with what failed."""

    def __init__(self, keeper: Keeper, spec: LaunchSpec, on_done: Callable[[str | None], None]) -> None:
        """Raises LaunchFailed."""
        machine = keeper.machine
        if machine.pasta is None:
            raise LaunchFailed(f"no way to the internet on this machine: {machine.pasta_reason}")
        self.namespaces: tuple[int, int] | None = None
        """The job's network namespace and the user namespace that owns it, once they are there: (user, net)."""
        self._keeper = keeper
        self._loop = keeper.loop
        self._on_done = on_done
        self._then: Callable[[], None] | None = None
        self._uid, gid = machine.user_of(spec)
        self.pid, self._status = _start(machine, machine.pasta, self._uid, gid, spec.attempt_id)
        self.alive = True
        keeper.count_user(self._uid, 1)
        keeper.on_other_child[self.pid] = self._on_exit
        self._status.setblocking(False)
        self._loop.watch(self._status.fileno(), READ, lambda _events: self._on_status())
        self._timer = self._loop.later(SECONDS, lambda: self._done(f"it was not there within {SECONDS:g} s"))

    def close(self, then: Callable[[], None] | None = None) -> None:
        """End it, and call `then` when nothing of it runs any more. More than once is fine."""
        self._then = then or self._then
        self._timer.cancel()
        if self._status.fileno() >= 0:
            self._loop.unwatch(self._status.fileno())
            self._status.close()
        self._let_go()
        if self.alive:
            send(self.pid, 15)
            self._loop.later(_KILL_SECONDS, self._kill)

    def _kill(self) -> None:
        if self.alive:
            send(self.pid, 9)

    def _on_exit(self) -> None:
        self.alive = False
        self._keeper.count_user(self._uid, -1)
        if self._then is not None:
            self._then()

    def _on_status(self) -> None:
        told = _read(self._status)
        if told is not None:
            problem, self.namespaces = told
            self._done(problem)

    def _done(self, problem: str | None) -> None:
        self._timer.cancel()
        self._loop.unwatch(self._status.fileno())
        self._status.close()
        if problem is not None:
            self.close()
        self._on_done(None if problem is None else f"the way to the internet cannot be made: {problem}")

    def _let_go(self) -> None:
        for fd in self.namespaces or ():
            os.close(fd)
        self.namespaces = None


def why_not(machine: Machine, pasta: str | None, uid: int | None, gid: int | None) -> bool | str:
    """Try it once: True, or why jobs of this machine cannot reach the internet. Blocks for a tenth of a second."""
    if pasta is None:
        return "pasta is not installed (the program pasta is not found); install the package passt"
    if not os.path.exists(TUN):
        return f"there is no {TUN}: load the kernel module (modprobe tun)"
    if not machine.root and not os.access(TUN, os.R_OK | os.W_OK):
        return f"{TUN} cannot be opened by this user; allow it (chmod 0666 {TUN})"
    try:
        pid, status = _start(machine, pasta, uid, gid, f"probe-{os.getpid()}")
    except LaunchFailed as error:
        return str(error)
    waiting = select.poll()
    waiting.register(status, select.POLLIN)
    told = _read(status) if waiting.poll(SECONDS * 1000) else None
    problem, namespaces = told or (f"it was not there within {SECONDS:g} s", None)
    for fd in namespaces or ():
        os.close(fd)
    status.close()
    os.kill(pid, 15)
    os.waitpid(pid, 0)
    return True if problem is None else problem


def _start(machine: Machine, pasta: str, uid: int | None, gid: int | None, mark: str) -> tuple[int, socket.socket]:
    """Start a helper: its pid, and the socket on which it tells. Raises LaunchFailed."""
    request = {"pasta": pasta, "uid": uid, "gid": gid, "supervisor": os.getpid()}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    body = os.memfd_create("dais", os.MFD_CLOEXEC)
    try:
        os.write(body, json.dumps(request).encode())
        os.lseek(body, 0, os.SEEK_SET)
        argv = [sys.executable, "-I", "-S", "-c", _HELPER]
        keep = {STATUS_FD: theirs.fileno(), REQUEST_FD: body}
        stdio = (machine.null, machine.null, machine.null)
        env = [f"{MARK}={mark}".encode()]
        return spawn_plain(argv, [os.fsencode(sys.executable)], env, stdio, keep=keep), ours
    except (SpawnError, OSError) as error:
        ours.close()
        raise LaunchFailed(f"the helper for the way to the internet cannot be started: {error}") from None
    finally:
        theirs.close()
        os.close(body)


def _read(status: socket.socket) -> tuple[str | None, tuple[int, int] | None] | None:
    """What a helper tells: a problem, or the namespaces; None while it has told nothing."""
    try:
        body, fds, _, _ = socket.recv_fds(status, 1 << 14, 2, socket.MSG_CMSG_CLOEXEC)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError as error:
        return str(error), None
    if len(fds) == 2:
        return None, (fds[0], fds[1])
    for fd in fds:
        os.close(fd)
    try:
        return str(json.loads(body)["error"]), None
    except (ValueError, KeyError):
        return "its helper ended without a word", None
