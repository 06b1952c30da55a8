"""A command inside a running container: one connection, one helper process, bytes both ways.

The helper (`enter`) joins the container, starts the command there and tells by a socket how that went and how it ended.
Back-pressure goes both ways: a client that does not read stops the reading of this command's output only.
"""

from __future__ import annotations

import json
import os
import signal
import socket

from dais.node import processes
from dais.node.attempt import DOUBTS
from dais.node.become import set_window
from dais.node.enter import fork_helper
from dais.node.entrance import when_built
from dais.node.loop import READ
from dais.node.pumps import Sink, Source
from dais.node.spec import Pty, SpecError, absolute, arguments, environment
from dais.node.wireframes import ERR, EXIT, OUT, READY, RESIZE, SIGNAL, STDIN, STDIN_EOF, FrameError, dumps, pack_typed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dais.node.attempt import Attempt
    from dais.node.connection import Connection
    from dais.node.supervisor import Supervisor

MOST_SESSIONS = 256
HIGH, LOW = 256 << 10, 64 << 10
EXEC_MARK = "DAIS_EXEC"

DRAIN_CHUNKS = 64
_count = 0


class ExecSession:
    """From the first frame to the exit code. A client that goes away takes the command's whole tree with it."""

    def __init__(
        self,
        supervisor: Supervisor,
        connection: Connection,
        message: dict[str, Any],
        on_gone: Callable[[Connection], None],
    ) -> None:
        global _count
        _count += 1
        self._supervisor = supervisor
        self._loop = supervisor.loop
        self._connection = connection
        self._on_connection_gone = on_gone
        self._mark = f"{os.getpid()}-{_count}"
        self.attempt: Attempt | None = None
        self.helper = 0
        self._pid = 0
        self._status: socket.socket | None = None
        self._stdin: Sink | None = None
        self._terminal = -1
        self._sources: list[Source] = []
        self._result: dict[str, int] | None = None
        self._over = False
        self._killing = False
        self._kill_again = 0.005
        self._doubts = DOUBTS
        connection.speaks_json = False
        connection.on_frame = self._on_frame
        connection.on_gone = self._on_gone
        connection.on_drained = self._on_drained
        supervisor.execs.add(self)
        self._begin(message)

    # Beginning.

    def _begin(self, message: dict[str, Any]) -> None:
        attempt = self._supervisor.attempts.get(str(message.get("attempt_id")))
        if attempt is None:
            self._refuse("unknown-attempt", f"attempt {message.get('attempt_id')!r} does not run on this node")
            return
        if len(self._supervisor.execs) > MOST_SESSIONS:
            self._refuse("too-many", f"{MOST_SESSIONS} commands run through exec already; try again later")
            return
        try:
            self._argv = arguments(message)
            self._env = environment(message)
            workdir = message.get("workdir")
            self._workdir = None if workdir is None else absolute("workdir", str(workdir))
            pty = message.get("pty")
            self._pty = None if pty is None else Pty(pty)
        except SpecError as error:
            self._refuse("bad-request", str(error))
            return
        self.attempt = attempt
        self._connection.pause()
        when_built(self._loop, self._connection, attempt, self._enter, self._refuse)

    def _enter(self, found: int) -> None:
        assert self.attempt is not None
        try:
            self._spawn(self.attempt, found)
        except OSError as error:
            self._refuse("exec-failed", f"the helper cannot be started: {error}")

    def _spawn(self, attempt: Attempt, within: int) -> None:
        launched = attempt.launched
        assert launched is not None
        env = {**launched.env, **self._env, processes.MARK: attempt.id, EXEC_MARK: self._mark}
        if self._pty is not None and "TERM" not in self._env:
            env["TERM"] = self._pty.term
        filtering = self._supervisor.machine.filter
        request = {
            "argv": self._argv,
            "env": env,
            "workdir": self._workdir or launched.workdir,
            "pty": None if self._pty is None else [self._pty.rows, self._pty.cols],
            "inside": within,
            "group": launched.group,
            "open_files": attempt.spec.limits.open_files,
            "uid": launched.uid,
            "gid": launched.gid,
            "supervisor": os.getpid(),
            "filter": None if not launched.sandboxed or filtering is None else filtering.program,
        }
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        closing: list[int] = []
        try:
            self.helper = fork_helper(self._stdio(closing), theirs, request)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            for fd in closing:
                os.close(fd)
        self._supervisor.own_exec(self.helper, self)
        ours.setblocking(False)
        self._status = ours
        self._loop.watch(ours.fileno(), READ, self._on_status_event)

    def _stdio(self, closing: list[int]) -> tuple[int, int, int]:
        null = self._supervisor.machine.null
        if self._pty is not None:
            return null, null, null
        stdin, ours = os.pipe2(os.O_CLOEXEC)
        self._stdin = Sink(self._loop, ours, self._on_room)
        closing.append(stdin)
        for kind in (OUT, ERR):
            ours, theirs = os.pipe2(os.O_CLOEXEC)
            closing.append(theirs)
            self._sources.append(self._source(ours, kind))
        return closing[-3], closing[-2], closing[-1]

    def _source(self, fd: int, kind: int) -> Source:
        return Source(self._loop, fd, lambda data: self._to_client(kind, data), self._finish_if_over)

    # What the helper tells.

    def _on_status_event(self, _events: int) -> None:
        self._on_status()

    def _on_status(self) -> bool:
        """Read one message; False when there is none now, or never again."""
        assert self._status is not None
        try:
            body, fds, _, _ = socket.recv_fds(self._status, 1 << 16, 1)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            body, fds = b"", []
        if not body:
            self._loop.unwatch(self._status.fileno())
            self._status.close()
            self._status = None
            return False
        told = json.loads(body)
        if fds:
            self._terminal = fds[0]
            self._sources.append(self._source(fds[0], OUT))
            # A copy of the descriptor for writing: epoll knows each only once.
            self._stdin = Sink(self._loop, os.dup(fds[0]), self._on_room)
        elif "pid" in told:
            self._pid = told["pid"]
            self._send(READY, dumps({"ok": True}))
            for source in self._sources:
                source.watch(True)
            self._connection.resume()
        elif "error" in told:
            self._over = True
            self._refuse(told["error"], told["message"])
        else:
            self._result = told
        return True

    def on_helper_exit(self, status: int) -> None:
        """The helper was reaped; without a result of its own that is an end, too."""
        self.helper = 0
        while self._status is not None and self._on_status():
            pass
        if self._result is None:
            code = os.waitstatus_to_exitcode(status)
            self._result = {"exit_code": code} if code >= 0 else {"signal": -code}
        self._finish_if_over()
        if self._over or not self._connection.open:
            self._release()

    # From the client.

    def _on_frame(self, _connection: Connection, body: bytearray) -> None:
        if not body:
            raise FrameError("an exec frame without a type")
        kind, payload = body[0], memoryview(body)[1:]
        if kind == STDIN:
            if self._stdin is not None:
                self._stdin.write(payload)
                if self._stdin.unsent > HIGH:
                    self._connection.pause()
        elif kind == STDIN_EOF:
            self._end_stdin()
        elif kind == RESIZE:
            self._resize(bytes(payload))
        elif kind == SIGNAL:
            self._signal(bytes(payload).decode("ascii", "replace"))
        else:
            raise FrameError(f"an exec frame of the unknown type {kind}")

    def _on_room(self) -> None:
        if self._stdin is not None and self._stdin.unsent < LOW:
            self._connection.resume()

    def _end_stdin(self) -> None:
        if self._stdin is None:
            return
        if self._terminal >= 0:
            # A terminal has no end: this is what ends its reader's input, also after half a line.
            self._stdin.write(b"\x04\x04")
        else:
            self._stdin.end()

    def _resize(self, body: bytes) -> None:
        try:
            size = Pty(json.loads(body))
        except (ValueError, SpecError) as error:
            raise FrameError(f"resize: {error}") from None
        if self._terminal >= 0:
            set_window(self._terminal, size.rows, size.cols)

    def _signal(self, name: str) -> None:
        number = getattr(signal, f"SIG{name.removeprefix('SIG')}", None)
        if not isinstance(number, signal.Signals):
            raise FrameError(f"signal {name!r} is not known")
        if self._pid and self.helper and self._result is None:
            processes.send(-self._pid, number)

    # To the client.

    def _to_client(self, kind: int, data: memoryview) -> bool:
        self._send(kind, data)
        return self._connection.unsent <= HIGH

    def _on_drained(self) -> None:
        if self._pid and self._connection.unsent < LOW:
            for source in self._sources:
                source.watch(True)
            self._finish_if_over()

    def _send(self, kind: int, payload: bytes | memoryview) -> None:
        self._connection.send_bytes(pack_typed(kind, payload))

    # Ending.

    def _finish_if_over(self) -> None:
        """The exit is told once the command has ended and what its pipes hold is sent.

        A background process may keep a pipe open for ever: what is there now is all that is waited for.
        """
        if self._result is None or self.helper or self._over:
            return
        if self._connection.open:
            for source in self._sources:
                if not source.drain(DRAIN_CHUNKS):
                    return  # and on, when the client has read
        self._over = True
        self._send(EXIT, dumps(self._result))
        self._connection.end()
        self._release()

    def container_ended(self) -> None:
        """The container's main process has ended: so do the commands in it."""
        self._kill_tree()

    def _refuse(self, code: str, message: str) -> None:
        self._send(READY, dumps({"error": code, "message": message}))
        self._connection.finish()
        self._release()

    def _on_gone(self, connection: Connection) -> None:
        self._on_connection_gone(connection)
        if self.helper:
            self._kill_tree()
        else:
            self._release()

    def _kill_tree(self) -> None:
        """KILL the command with everything that it started, until nothing of it is found."""
        if self.attempt is None or self not in self._supervisor.execs:
            return
        self._killing = True
        while self._status is not None and self._on_status():
            pass
        tree = set(processes.descendants([self._pid])) if self._pid and self._result is None else set()
        for pid in self.attempt.members():
            if pid not in tree and processes.mark_of(pid, EXEC_MARK) == self._mark:
                tree.add(pid)
        if self.helper and not self._pid:
            tree.add(self.helper)
        alive = [pid for pid in tree if processes.send(pid, 9)]
        self._doubts = DOUBTS if alive or self.helper else self._doubts - 1
        if self._doubts:
            self._loop.later(self._kill_again, self._kill_tree)
            self._kill_again = min(2 * self._kill_again, 1.0)
        else:
            self._killing = False
            self._release()

    def _release(self) -> None:
        if self.helper or self._killing:
            return
        self._supervisor.execs.discard(self)
        for source in self._sources:
            source.close()
        self._terminal = -1
        if self._stdin is not None:
            self._stdin.close()
        if self._status is not None:
            self._loop.unwatch(self._status.fileno())
            self._status.close()
            self._status = None
