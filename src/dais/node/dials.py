"""A connection to a port inside a running container: made here, and handed over to whoever asked for it.

A container with a network of its own is entered by a thread that makes the sockets there and ends, which takes 0.05 ms:
a socket stays in the network in which it was made, and the supervisor's one lasting thread never leaves its own. An
ordinary user must enter the user namespace that owns the network first, which a process with threads cannot: there a
forked child does it, in 2 ms. What is handed over is the connected socket itself, so that nothing of what goes over it
passes through here.

Where a container shares this machine's network, only what its own processes listen on is connected to: a job must be
no way to the services of its host.
"""

from __future__ import annotations

import _thread
import errno
import fcntl
import os
import signal
import socket

from dais.node import kernel, processes
from dais.node.enter import NS_GET_USERNS
from dais.node.entrance import when_built
from dais.node.loop import GONE, READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dais.node.attempt import Attempt
    from dais.node.connection import Connection
    from dais.node.loop import Timer
    from dais.node.supervisor import Supervisor

CONNECT_SECONDS = 10.0
LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_LISTENS = "0A"
_REACHED = {
    "tcp": {"00000000", "0100007F"},
    "tcp6": {"0" * 32, "00000000000000000000000001000000"},
}
"""As the kernel's tables write every address and the loopback one, on machines of either byte order of interest."""


class Dial:
    """From the first frame to the socket, or to the reason why there is none."""

    def __init__(
        self,
        supervisor: Supervisor,
        connection: Connection,
        message: dict[str, Any],
        on_gone: Callable[[Connection], None],
    ) -> None:
        self._supervisor = supervisor
        self._loop = supervisor.loop
        self._connection = connection
        self._on_connection_gone = on_gone
        self._child: socket.socket | None = None
        self._sockets: list[tuple[socket.socket, str]] = []
        self._timer: Timer | None = None
        connection.on_frame = lambda *_: None  # it has nothing more to say here
        connection.on_gone = self._on_gone
        port, name = message.get("port"), str(message.get("attempt_id"))
        attempt = supervisor.attempts.get(name)
        if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65_536:
            self._refuse("bad-request", f"port: expected a number from 1 to 65535, got {port!r}")
        elif attempt is None:
            self._refuse("unknown-attempt", f"attempt {name!r} does not run on this node")
        else:
            self._attempt, self._port = attempt, port
            when_built(self._loop, connection, attempt, self._reach, self._refuse)

    def _reach(self, found: int) -> None:
        attempt = self._attempt
        try:
            if not found or _same_network(found):
                self._connect_here(attempt)
            else:
                self._enter(attempt, found)
        except OSError as error:
            self._refuse("dial-failed", f"the container's network cannot be entered: {error}")

    # A network of its own.

    def _enter(self, attempt: Attempt, within: int) -> None:
        """Let a child make the sockets. Raises OSError."""
        network = os.open(f"/proc/{within}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if processes.parent(within) != attempt.init:
                self._refuse("not-running", f"attempt {attempt.id} has just ended")
                return
            if os.geteuid() == 0:
                self._take(_sockets_by_thread(network))
            else:
                self._fork(network)
        finally:
            os.close(network)

    def _fork(self, network: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            _send_sockets(network, theirs)
        theirs.close()
        self._supervisor.on_other_child[pid] = lambda: None
        ours.setblocking(False)
        self._child = ours
        self._loop.watch(ours.fileno(), READ, lambda _events: self._on_sockets())

    def _on_sockets(self) -> None:
        assert self._child is not None
        try:
            words, fds, _, _ = socket.recv_fds(self._child, 4096, len(LOOPBACK), socket.MSG_CMSG_CLOEXEC)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            words, fds = str(error).encode(), []
        self._loop.unwatch(self._child.fileno())
        self._child.close()
        self._child = None
        if not fds:
            why = words.decode("utf-8", "replace") or "the one who was sent in has said nothing"
            self._refuse("dial-failed", f"the container's network cannot be entered: {why}")
            return
        self._take([socket.socket(fileno=fd) for fd in fds])

    def _take(self, made: list[socket.socket]) -> None:
        addresses = {int(family): address for family, address in LOOPBACK}
        self._sockets = [(sock, addresses[sock.family]) for sock in made]
        self._next()

    # This machine's network.

    def _connect_here(self, attempt: Attempt) -> None:
        families = own_listeners(attempt.members(), self._port)
        for family, address in LOOPBACK:
            if family in families:
                sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                self._sockets.append((sock, address))
        self._next()

    # Connecting: one loopback address after the other.

    def _next(self) -> None:
        if not self._sockets:
            self._refuse("refused", f"nothing in attempt {self._attempt.id} listens on port {self._port}")
            return
        sock, address = self._sockets[0]
        sock.setblocking(False)
        self._outcome(sock.connect_ex((address, self._port)))

    def _on_connected(self) -> None:
        self._settle()
        sock, _ = self._sockets[0]
        self._outcome(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _outcome(self, number: int) -> None:
        sock, _ = self._sockets[0]
        if number == 0:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection.send_descriptor({"op": "dialled"}, sock.fileno())
            self._release()
            self._connection.finish()
        elif number == errno.EINPROGRESS:
            self._loop.watch(sock.fileno(), WRITE | GONE, lambda _events: self._on_connected())
            self._timer = self._loop.later(CONNECT_SECONDS, self._too_late)
        elif number in (errno.ECONNREFUSED, errno.EADDRNOTAVAIL, errno.ENETUNREACH):
            self._sockets.pop(0)[0].close()
            self._next()
        else:
            self._refuse("dial-failed", f"port {self._port}: {os.strerror(number)}")

    def _too_late(self) -> None:
        self._refuse("dial-failed", f"port {self._port}: no connection within {CONNECT_SECONDS:g} s")

    # Ending.

    def _refuse(self, code: str, message: str) -> None:
        self._connection.send({"op": "error", "code": code, "message": message})
        self._release()
        self._connection.finish()

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._loop.unwatch(self._sockets[0][0].fileno())

    def _release(self) -> None:
        self._settle()
        if self._child is not None:
            self._loop.unwatch(self._child.fileno())
            self._child.close()
            self._child = None
        for sock, _ in self._sockets:
            sock.close()
        self._sockets.clear()

    def _on_gone(self, connection: Connection) -> None:
        self._release()
        self._on_connection_gone(connection)


def _same_network(pid: int) -> bool:
    return os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino


def _make_sockets(network: int) -> list[socket.socket]:
    """Enter a network, and make a socket for each loopback address. Raises OSError."""
    kernel.setns(network, kernel.CLONE_NEWNET)
    made = []
    for family, _ in LOOPBACK:
        try:
            made.append(socket.socket(family, socket.SOCK_STREAM))
        except OSError:
            pass  # a kernel without IPv6
    return made


def _sockets_by_thread(network: int) -> list[socket.socket]:
    """Of a network that root may enter. Raises OSError."""
    made: list[socket.socket] = []
    problems: list[OSError] = []
    over = _thread.allocate_lock()
    over.acquire()

    def work() -> None:
        try:
            made.extend(_make_sockets(network))
        except OSError as error:
            problems.append(error)
        finally:
            over.release()

    try:
        _thread.start_new_thread(work, ())
    except RuntimeError as error:  # no room for another thread
        raise OSError(errno.EAGAIN, str(error)) from None
    over.acquire()
    if problems:
        raise problems[0]
    return made


def _send_sockets(network: int, told: socket.socket) -> None:
    """In the forked child: sockets of a network of our own user's, handed back. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        kernel.setns(fcntl.ioctl(network, NS_GET_USERNS), kernel.CLONE_NEWUSER)
        made = _make_sockets(network)
        socket.send_fds(told, [b"s"], [sock.fileno() for sock in made])
    except BaseException as error:
        told.send(str(error).encode()[:4000] or b"it failed")
    finally:
        os._exit(0)


def own_listeners(pids: list[int], port: int) -> set[int]:
    """The address families on whose loopback address one of these processes listens on a port."""
    found: dict[str, int] = {}
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        try:
            with open(f"/proc/self/net/{table}", encoding="ascii") as file:
                lines = file.read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, _, _, _, _, _, inode, *_ = line.split()
            address, _, number = local.partition(":")
            if state == _LISTENS and int(number, 16) == port and address in _REACHED[table]:
                found[f"socket:[{inode}]"] = int(family)
    families = set()
    for pid in pids if found else ():
        families |= {found[name] for name in _open_files(pid) & found.keys()}
    return families


def _open_files(pid: int) -> set[str]:
    names = set()
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                names.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
            except OSError:
                pass
    except OSError:
        pass
    return names
