"""Process 1 of every container: starts the job's program, keeps what it prints and how it ends, ends it in time.

What it keeps lies in a directory of the machine (`RUN`), so neither the server nor the container daemon needs to be
there meanwhile. It imports little: each module is a millisecond of every start. What to do is in `LAUNCH`, which holds
secrets and is on no disk.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import errno
import marshal
import os
import select
import sys
import time

import logs  # type: ignore[import-not-found]
import measures  # type: ignore[import-not-found]
import programs  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

CONTROL, RUN = "/opt/dais/launch", "/opt/dais/run"
LAUNCH, STOP, READY = f"{CONTROL}/launch", f"{CONTROL}/stop", f"{RUN}/ready"
CHUNK = 64 << 10
DRAIN_SECONDS = 2.0
_TERM, _KILL, _CHILD = 15, 9, 17


class Refused(Exception):
    """The program was not started: (reason, detail)."""


class Init:
    """One container's life."""

    def __init__(self) -> None:
        with open(LAUNCH, "rb") as file:
            self._launch: dict[str, Any] = marshal.loads(file.read())  # noqa: S302 - the server's own words
        # A container that is started a second time must not run the program again.
        self._report = os.open(f"{RUN}/report", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._writer = logs.LogWriter(RUN, self._launch["log"])
        self._poll = select.poll()
        self._sources: dict[int, int] = {}
        self._buffer = memoryview(bytearray(CHUNK))
        self._listener: _socket.socket | None = None
        self._signals, wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(wakeup, False)
        for number in (_TERM, _CHILD):
            _signal.signal(number, lambda _number, _frame: None)
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        _signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        self._main = 0
        self._status: int | None = None
        self._cause = ""
        self._term_at: float | None = None
        self._kill_at: float | None = None

    def run(self) -> NoReturn:
        """Until the program has ended; then this process ends as it did, and everything else with it."""
        try:
            self._check_mounts()
            limit = self._launch["time"]
            self._term_at = None if limit is None else time.monotonic() + limit
            if os.path.exists(STOP):
                self._end({"reason": "stopped"}, 128 + _TERM)
            self._start()
        except Refused as refusal:
            self._end({"reason": refusal.args[0], "detail": refusal.args[1]}, 127)
        self._poll.register(self._signals, select.POLLIN)
        while self._status is None:
            self._turn(self._wait_ms())
        self._finish()

    # -- beginning --------------------------------------------------------------------------------

    def _check_mounts(self) -> None:
        """What is mounted must be what the server saw: a job that has a directory may have put a link there since."""
        for target, device, inode in self._launch["binds"]:
            try:
                seen = os.stat(target)
            except OSError as error:
                raise Refused("launch-failed", f"{target.decode()}: {error.strerror}") from error
            if (seen.st_dev, seen.st_ino) != (device, inode):
                raise Refused("launch-failed", f"what is mounted at {target.decode()} was replaced by something else")
        os.close(os.open(READY, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def _start(self) -> None:
        self._listen()
        outputs, ends = self._pipes()
        failure, told = os.pipe2(os.O_CLOEXEC)
        self._main = os.fork()
        if self._main == 0:
            programs.become(self._launch, ends, told)
        for fd in {told, *ends}:
            os.close(fd)
        with open(failure, "rb") as file:
            words = file.read()
        if words:
            os.waitpid(self._main, 0)
            reason, detail = words.decode("utf-8", "replace").split("\0", 1)
            raise Refused(reason, detail)
        for fd, stream in outputs:
            os.set_blocking(fd, False)
            self._sources[fd] = stream
            self._poll.register(fd, select.POLLIN)

    def _pipes(self) -> tuple[list[tuple[int, int]], tuple[int, int, int]]:
        """Our ends with their streams, and the program's stdin, stdout and stderr."""
        if self._launch["pty"] is not None:
            ours, theirs = os.openpty()
            os.set_inheritable(ours, False)
            programs.set_size(ours, *self._launch["pty"])
            return [(ours, logs.STDOUT)], (theirs, theirs, theirs)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        (out, out_end), (err, err_end) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
        return [(out, logs.STDOUT), (err, logs.STDERR)], (null, out_end, err_end)

    def _listen(self) -> None:
        """Who connects here is connected to a port of the container's loopback address."""
        self._listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        self._listener.bind(f"{RUN}/dial")
        self._listener.listen(128)
        self._poll.register(self._listener.fileno(), select.POLLIN)

    # -- running ----------------------------------------------------------------------------------

    def _wait_ms(self) -> float | None:
        due = [at for at in (self._term_at, self._kill_at) if at is not None]
        return max(0.0, min(due) - time.monotonic()) * 1000 if due else None

    def _turn(self, timeout: float | None) -> None:
        for fd, _ in self._poll.poll(timeout):
            if fd in self._sources:
                self._read(fd)
            elif fd == self._signals:
                self._on_signals(os.read(fd, 512))
            elif self._listener is not None:
                self._accept(self._listener)
        now = time.monotonic()
        if self._term_at is not None and now >= self._term_at:
            self._cause = self._cause or "time-limit"
            self._terminate(self._launch["grace"])
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = now + 1.0
            kill_all(_KILL)

    def _read(self, fd: int) -> None:
        try:
            count = os.readv(fd, (self._buffer,))
        except BlockingIOError:
            return
        except OSError:  # a terminal whose other side is closed says EIO
            count = 0
        if count:
            self._writer.write(self._sources[fd], self._buffer[:count])
        else:
            self._poll.unregister(fd)
            del self._sources[fd]
            os.close(fd)

    def _on_signals(self, numbers: bytes) -> None:
        if _TERM in numbers and self._status is None:
            self._on_stop()
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._main:
                self._status = status

    def _on_stop(self) -> None:
        """The server asks for the end: how many seconds may pass before KILL is written in a file."""
        grace = self._launch["grace"]
        try:
            with open(STOP, "rb") as file:
                grace = float(file.read())
        except (OSError, ValueError):
            pass  # TERM from somebody else: as the job's own time limit would
        self._cause = self._cause or "stopped"
        self._terminate(grace)

    def _terminate(self, grace: float) -> None:
        self._term_at = None
        self._kill_at = time.monotonic() + grace
        kill_all(_TERM if grace > 0 else _KILL)

    def _accept(self, listener: _socket.socket) -> None:
        try:
            fd, _ = listener._accept()  # type: ignore[attr-defined]
        except OSError:
            return
        try:
            child = os.fork()
        except OSError:  # no more processes: the connection ends
            os.close(fd)
            return
        if child:
            os.close(fd)
            return
        listener.close()
        programs.relay(fd, self._sources)

    # -- ending -----------------------------------------------------------------------------------

    def _finish(self) -> NoReturn:
        """Everything else ends, what was printed is kept, and how it ended is told."""
        status = self._status or 0
        kill_all(_KILL)
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._sources and (left := deadline - time.monotonic()) > 0:
            self._turn(left * 1000)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = None if number is not None else os.WEXITSTATUS(status)
        report: dict[str, Any] = {"reason": self._cause, "exit_code": code, "signal": number}
        self._end(report, 128 + number if number is not None else int(code or 0))

    def _end(self, report: dict[str, Any], code: int) -> NoReturn:
        self._writer.close()
        report["at"] = time.time_ns() // 1000
        report["log_bytes"] = self._writer.written
        report["log_truncated"] = self._writer.incomplete
        report |= measures.measure()
        words = ", ".join(f'"{name}": {as_json(value)}' for name, value in report.items())
        os.write(self._report, f"{{{words}}}".encode())
        os._exit(code)


def as_json(value: Any) -> str:
    """A plain value as JSON; the module that does it well takes longer to load than many jobs to run."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str):
        return repr(value)
    letters = (c if " " <= c <= "~" and c not in '"\\' else f"\\u{min(ord(c), 0xFFFD):04x}" for c in value)
    return f'"{"".join(letters)}"'


def kill_all(number: int) -> None:
    """A signal to everything in the container but this process."""
    try:
        os.kill(-1, number)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise


def main() -> NoReturn:
    if os.getpid() != 1:
        sys.exit("this is the first process of a container, and nothing else")
    Init().run()
