"""The code runner of a job: kernels, runs in their order, and what they printed until it is fetched.

It listens on a socket that only the job's user can reach, and serves several connections of the server's, one after
the other or at once. Requests are `{"id", "op", …}`, each is answered by `{"id", "ok": …}` or `{"id", "error",
"message"}`; beside them `{"event": "busy" | "idle"}` tells whether a run is at work.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import struct
import sys
import time

from dais.node.inside import code_files
from dais.node.inside.code_connect import place
from dais.node.inside.code_files import Refused
from dais.node.inside.code_lines import Lines, Loop
from dais.node.inside.code_processes import BUILT_IN, end_with_parent, installed_kernels
from dais.node.inside.code_runs import Run
from dais.node.inside.code_work import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MOST_WAIT = 60.0
_int = struct.Struct("i")
GATHER = 0.03
"""Seconds for which output is gathered before it is sent to somebody who follows it."""


class Waiter:
    """A request that waits for news of a run."""

    def __init__(self, client: Lines, number: Any, follow: bool) -> None:
        self.client = client
        self.number = number
        self.follow = follow
        self.timer: int | None = None


class Server:
    """Answers connections."""

    def __init__(self, loop: Loop, listener: socket.socket, python: Sequence[str], text: str) -> None:
        self._loop = loop
        self._listener = listener
        self._clients: set[Lines] = set()
        self._waiters: dict[str, Waiter] = {}
        self._work = os.getcwd()
        self.session = Session(loop, python, text, self._work, self._news, self._tell_busy)
        listener.setblocking(False)
        loop.watch(listener.fileno(), selectors.EVENT_READ, self._accept)

    def _accept(self, _events: int) -> None:
        """A connection of the server's: over the socket come the pipes that it speaks through, and its end."""
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        self._loop.watch(sock.fileno(), selectors.EVENT_READ, lambda _events: self._take_pipes(sock))

    def _take_pipes(self, sock: socket.socket) -> None:
        try:
            fds = _received(sock)
        except BlockingIOError:
            return
        if len(fds) != 2:
            for fd in fds:
                os.close(fd)
            self._loop.forget(sock.fileno())
            sock.close()
            return
        lines: list[Lines] = []

        def end() -> None:
            self._clients.discard(lines[0])
            self._loop.forget(sock.fileno())
            sock.close()

        client = Lines(self._loop, (fds[0], fds[1]), lambda message: self._answer(lines[0], message), end)
        lines.append(client)
        self._clients.add(client)
        self._loop.watch(sock.fileno(), selectors.EVENT_READ, lambda _events: client.close())
        client.send({"event": "busy" if self.session.current is not None else "idle"})

    def _tell_busy(self, busy: bool) -> None:
        for client in list(self._clients):
            client.send({"event": "busy" if busy else "idle"})

    def _answer(self, client: Lines, message: dict[str, Any]) -> None:
        number = message.get("id")
        try:
            name = message.get("op")
            operation = getattr(self, f"op_{name}", None)
            if not isinstance(name, str) or operation is None:
                raise Refused("no-such-operation", f"the code runner of this job knows no {name!r}")
            answer = operation(client, number, message)
        except Refused as error:
            client.send({"id": number, "error": error.code, "message": str(error)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            code = "not-found" if isinstance(error, FileNotFoundError) else "failed"
            client.send({"id": number, "error": code, "message": _words(error)})
        else:
            if answer is not None:
                client.send({"id": number, "ok": answer})

    # Operations.

    def op_status(self, _client: Lines, _number: Any, _message: dict[str, Any]) -> dict[str, Any]:
        return {"kernels": installed_kernels(), "directory": self._work, **self.session.status()}

    def op_execute(self, client: Lines, number: Any, message: dict[str, Any]) -> None:
        run_id = str(message["run_id"])
        seq = message.get("seq")
        mode = message["mode"]
        if mode in ("query", "batch"):
            run = self.session.begin(
                run_id,
                mode,
                str(message.get("kernel") or BUILT_IN),
                str(message.get("code") or ""),
                {name: str(text) for name, text in (message.get("steps") or {}).items()},
                float(message.get("timeout") or 0),
            )
        else:
            run = self.session.find(run_id)
            again = run.again(seq)
            if again is not None:
                client.send({"id": number, "ok": again})
                return
            if mode == "input":
                self.session.give(run, str(message.get("code") or ""))
        self._wait(run, client, number, min(MOST_WAIT, float(message.get("wait") or 0)), bool(message.get("follow")))

    def op_give(self, _client: Lines, _number: Any, message: dict[str, Any]) -> dict[str, Any]:
        self.session.give(self.session.find(str(message["run_id"])), str(message["code"]))
        return {}

    def op_interrupt(self, _client: Lines, _number: Any, _message: dict[str, Any]) -> dict[str, Any]:
        return {"interrupted": self.session.interrupt()}

    def op_restart(self, _client: Lines, _number: Any, message: dict[str, Any]) -> dict[str, Any]:
        self.session.restart(str(message.get("kernel") or BUILT_IN))
        return {}

    def op_adopt(self, _client: Lines, _number: Any, message: dict[str, Any]) -> dict[str, Any]:
        """The job has got an owner: new kernels get its variables, and so does the one that waits; files of its own."""
        for file in message["files"]:
            code_files.give(str(file["path"]), file["data"], int(file["mode"]))
        variables = {str(name): str(value) for name, value in message["variables"].items()}
        os.environ.update(variables)
        self.session.tell("environ", variables)
        return {}

    def op_warm(self, _client: Lines, _number: Any, message: dict[str, Any]) -> dict[str, Any]:
        """Start a kernel before it is needed."""
        self.session.kernel(str(message.get("kernel") or BUILT_IN))
        return {}

    def op_complete(self, client: Lines, number: Any, message: dict[str, Any]) -> None:
        self.session.complete(
            str(message.get("kernel") or BUILT_IN),
            str(message["code"]),
            int(message["cursor"]),
            lambda matches: client.send({"id": number, "ok": {"matches": matches}}),
        )

    def op_put(self, _client: Lines, _number: Any, message: dict[str, Any]) -> dict[str, Any]:
        return code_files.put(self._work, str(message["path"]), message["data"])

    def op_get(self, _client: Lines, _number: Any, message: dict[str, Any]) -> dict[str, Any]:
        return code_files.get(self._work, str(message["path"]), int(message["offset"]))

    def op_ls(self, _client: Lines, _number: Any, message: dict[str, Any]) -> dict[str, Any]:
        return code_files.ls(self._work, str(message["path"]))

    def op_rm(self, _client: Lines, _number: Any, message: dict[str, Any]) -> dict[str, Any]:
        return code_files.rm(self._work, str(message["path"]), message.get("recursive") is True)

    # Who waits.

    def _wait(self, run: Run, client: Lines, number: Any, seconds: float, follow: bool) -> None:
        earlier = self._waiters.pop(run.id, None)
        if (
            earlier is not None
        ):  # the same client asks anew: its earlier question has lost its connection, or its patience
            self._loop.cancel(earlier.timer)
            message = f"somebody else asked for news of run {run.id}"
            earlier.client.send({"id": earlier.number, "error": "superseded", "message": message})
        waiter = self._waiters[run.id] = Waiter(client, number, follow)
        waiter.timer = self._loop.later(seconds, lambda: self._reply(run, waiter))
        self._news(run)

    def _news(self, run: Run) -> None:
        """Something has happened to a run: answer who waits for it, if it is due."""
        waiter = self._waiters.get(run.id)
        if waiter is None:
            return
        if run.is_due:
            self._reply(run, waiter)
        elif waiter.follow and run.has_news:
            waiter.follow = False
            self._loop.cancel(waiter.timer)
            waiter.timer = self._loop.later(GATHER, lambda: self._reply(run, waiter))

    def _reply(self, run: Run, waiter: Waiter) -> None:
        if self._waiters.get(run.id) is not waiter:
            return
        del self._waiters[run.id]
        self._loop.cancel(waiter.timer)
        if waiter.client.open:
            waiter.client.send({"id": waiter.number, "ok": run.take()})


def _received(sock: socket.socket) -> tuple[int, ...]:
    """The descriptors that came over a connection; none at its end. Raises BlockingIOError."""
    try:
        _, told, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(2 * _int.size))
    except BlockingIOError:
        raise
    except OSError:
        return ()
    return tuple(
        fd
        for level, kind, data in told
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (fd,) in _int.iter_unpack(data[: len(data) - len(data) % _int.size])
    )


def _words(error: Exception) -> str:
    """What went wrong, without the number that the kernel gives it."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error) or type(error).__name__


def serve(listener: int, python: Sequence[str]) -> None:
    """Until the job ends, or is told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    with open("/proc/self/cmdline", "rb") as file:
        words = file.read().split(b"\0")
    text = os.fsdecode(words[words.index(b"-c") + 1])
    loop = Loop()
    server = Server(loop, socket.socket(fileno=listener), python, text)

    def end(_number: int, _frame: Any) -> None:
        server.session.close()
        shutil.rmtree(place(), ignore_errors=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    # Whoever adopted it runs the job, and nobody else can be counted on to end it when that was killed.
    end_with_parent(signal.SIGTERM)
    while True:
        loop.turn()
        server.session.sweep(time.monotonic())
