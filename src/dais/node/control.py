"""The supervisor's socket: who may connect, and what the server's control connection may ask."""

from __future__ import annotations

import os
import socket
import sys

from dais.node.connection import Connection, peer_uid
from dais.node.dials import Dial
from dais.node.execs import ExecSession
from dais.node.loop import READ
from dais.node.roots import RootError
from dais.node.spec import SpecError, slots
from dais.node.wireframes import OLDEST, PROTOCOL, FrameError, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dais.node.supervisor import Supervisor

SOCKET_NAME = "supervisor.sock"
MOST_CONNECTIONS = 512
FIRST_FRAME_SECONDS = 10.0


class Server:
    """Accepts connections; the first frame's `op` tells what each is for."""

    def __init__(self, supervisor: Supervisor, isolation: dict[str, Any]) -> None:
        self._supervisor = supervisor
        self._isolation = isolation
        self._incarnation = _kernel_random("uuid")
        self._connections: set[Connection] = set()
        self._operations: dict[str, Callable[[Connection, dict[str, Any]], None]] = {
            "launch": self._launch,
            "stop": self._stop,
            "ack": self._ack,
            "forget": self._forget,
            "usage": self._usage,
            "ping": lambda connection, _: connection.send({"op": "pong"}),
            "shutdown": self._shutdown,
        }
        server = supervisor.machine.server_uid
        self._welcome = {0, os.getuid() if server is None else server}
        self._listener = listen(supervisor.node_dir, owner=server)
        supervisor.loop.watch(self._listener.fileno(), READ, self._on_accept)

    def close(self) -> None:
        """Refuse new connections and close those there are."""
        self._listener.close()
        for connection in list(self._connections):
            connection.close()
        try:
            os.unlink(f"{self._supervisor.node_dir}/{SOCKET_NAME}")
        except OSError:
            pass

    def _on_accept(self, _events: int) -> None:
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return
        if peer_uid(accepted) not in self._welcome or len(self._connections) >= MOST_CONNECTIONS:
            accepted.close()
            return
        connection = Connection(self._supervisor.loop, accepted, self._on_first_frame, self._on_gone)
        self._connections.add(connection)
        self._supervisor.loop.later(FIRST_FRAME_SECONDS, lambda: self._expect_role(connection))

    def _expect_role(self, connection: Connection) -> None:
        if connection.on_frame == self._on_first_frame:
            connection.close()

    def _on_gone(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if self._supervisor.control is connection:
            self._supervisor.control = None

    def _on_first_frame(self, connection: Connection, body: bytearray) -> None:
        message = parse(body)
        op, protocol = message.get("op"), message.get("protocol")
        if op in ("hello", "exec", "dial") and protocol not in range(OLDEST, PROTOCOL + 1):
            spoken = f"{OLDEST} to {PROTOCOL}"
            connection.send(_error("protocol", f"protocol {protocol!r} is not spoken here, but {spoken}"))
            connection.finish()
        elif op == "hello":
            self._hello(connection)
        elif op == "exec":
            ExecSession(self._supervisor, connection, message, self._on_gone)
        elif op == "dial":
            Dial(self._supervisor, connection, message, self._on_gone)
        elif op == "ping":
            connection.send({"op": "pong"})
        elif op == "describe":
            connection.send(self._description())
            connection.finish()
        elif op == "root":
            connection.send(self._root(message))
            connection.finish()
        else:
            raise FrameError(f"a connection begins with hello, exec, dial, root or describe, not with {op!r}")

    def _root(self, message: dict[str, Any]) -> dict[str, Any]:
        """Register a root directory, or with `remove` forget it."""
        roots, path = self._supervisor.machine.roots, str(message.get("path"))
        assert roots is not None
        try:
            if message.get("remove") is True:
                roots.remove(path)
                return {"op": "root", "path": path}
            return {"op": "root", "path": path, **roots.add(path)}
        except RootError as error:
            return _error("bad-root", str(error))
        except OSError as error:
            return _error("bad-root", f"{path} cannot be registered: {error}")

    def _description(self) -> dict[str, Any]:
        """What somebody who only looks is told: the server's control connection is left alone."""
        return {
            "op": "description",
            "protocol": PROTOCOL,
            "version": sys.modules["dais"].__version__,
            "pid": os.getpid(),
            "isolation": self._isolation,
            "running": len(self._supervisor.attempts),
        }

    def _hello(self, connection: Connection) -> None:
        supervisor = self._supervisor
        before, supervisor.control = supervisor.control, connection
        if before is not None:
            before.close()
        connection.on_frame = self._on_control_frame
        attempts = dict.fromkeys(supervisor.ended, "ended")
        attempts |= {attempt_id: "lost" for attempt_id, reason in supervisor.ended.items() if reason == "lost"}
        attempts |= dict.fromkeys(supervisor.attempts, "running")
        # What this turn has made is in the journal before it is sent, here as everywhere.
        supervisor.records.flush()
        connection.send(
            {
                "op": "hello",
                "protocol": PROTOCOL,
                "incarnation": self._incarnation,
                "pid": os.getpid(),
                "boot_id": _kernel_random("boot_id"),
                "isolation": self._isolation,
                "attempts": attempts,
                "backfills": True,
                "queued": [attempt.id for attempt in supervisor.queue if attempt.state == "queued"],
            }
        )
        supervisor.send_records(list(supervisor.records.kept.values()))

    def _on_control_frame(self, connection: Connection, body: bytearray) -> None:
        message = parse(body)
        operation = self._operations.get(str(message.get("op")))
        if operation is None:
            connection.send(_error("unknown-op", f"op {message.get('op')!r} is not known; this is {PROTOCOL=}"))
            return
        try:
            operation(connection, message)
        except SpecError as error:
            connection.send(_error("bad-request", str(error)))

    # The operations.

    def _launch(self, _connection: Connection, message: dict[str, Any]) -> None:
        if message.get("slots"):
            self._supervisor.slots.resize(*slots(message))
        self._supervisor.launch(_list(message, "specs"))

    def _stop(self, _connection: Connection, message: dict[str, Any]) -> None:
        grace = message.get("grace")
        if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int | float) or not grace < 2**31):
            raise SpecError(f"grace: expected seconds, got {grace!r}")
        self._supervisor.stop(str(message.get("attempt_id")), grace, str(message.get("reason") or "user-request"))

    def _ack(self, _connection: Connection, message: dict[str, Any]) -> None:
        seq = message.get("seq")
        if not isinstance(seq, int):
            raise SpecError(f"seq: expected a whole number, got {seq!r}")
        self._supervisor.records.acknowledge(seq)

    def _forget(self, _connection: Connection, message: dict[str, Any]) -> None:
        self._supervisor.forget(_list(message, "attempt_ids"))

    def _usage(self, connection: Connection, message: dict[str, Any]) -> None:
        usage = {}
        for attempt_id in _list(message, "attempt_ids"):
            attempt = self._supervisor.attempts.get(str(attempt_id))
            if attempt is not None and (used := attempt.usage()) is not None:
                usage[attempt.id] = used
        connection.send({"op": "usage", "usage": usage})

    def _shutdown(self, connection: Connection, message: dict[str, Any]) -> None:
        kill = message.get("kill") is True
        if not kill and self._supervisor.attempts:
            running = len(self._supervisor.attempts)
            connection.send(_error("busy", f"{running} containers run; shut down with kill to end them"))
            return
        self._supervisor.shut_down(kill=kill)


def _error(code: str, message: str) -> dict[str, str]:
    return {"op": "error", "code": code, "message": message}


def _list(message: dict[str, Any], name: str) -> list[object]:
    value = message.get(name)
    if not isinstance(value, list):
        raise SpecError(f"{name}: expected a list, got {value!r}")
    return value


def listen(node_dir: str, *, owner: int | None = None) -> socket.socket:
    """Listen on the node's socket, however long the directory's path is; `owner` may connect. Raises OSError."""
    directory = os.open(node_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        path = f"/proc/self/fd/{directory}/{SOCKET_NAME}"
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        listener.bind(path)
        os.chmod(path, 0o600)
        if owner is not None:
            os.chown(path, owner, -1)
        listener.listen(128)
    finally:
        os.close(directory)
    return listener


def _kernel_random(name: str) -> str:
    """`uuid` is a fresh one at each reading; `boot_id` stands for this boot, beyond which nothing runs on."""
    with open(f"/proc/sys/kernel/random/{name}", encoding="ascii") as file:
        return file.read().strip()
