"""What the keeper does once the server answers: pass on signals and the exit code, have the supervisor started again.

Run as a file by a bare interpreter, with nothing but what is imported here: for as long as Dais runs, this is all that
stays of the process that `dais up` began as. `keeper` does the same while the server starts, and more.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_BYTES = 64 << 10
_pause = 0.2
"""Seconds between two starts of the supervisor, at least."""


class Watch:
    """`pid` is the server, a child of this process; `server` its connection, a socket of whole messages; `signals` a
    signalfd of what is passed on, and of SIGCHLD. `starter` is a command that starts the supervisor, and prints its
    answer as JSON.
    """

    def __init__(self, pid: int, server: int, signals: int, starter: Sequence[str]) -> None:
        self.pid = pid
        self.server = server
        self.signals = signals
        self.starter = list(starter)
        self._started = 0.0

    def run(self) -> int:
        """Keep the server until it ends; its exit code. One that a signal ended is followed by that signal."""
        waiting = select.poll()
        waiting.register(self.signals, select.POLLIN)
        waiting.register(self.server, select.POLLIN)
        while True:
            for fd, _ in waiting.poll():
                if fd == self.signals:
                    code = self._on_signal()
                    if code is not None:
                        return code
                elif not self._on_request():
                    waiting.unregister(self.server)

    def _on_signal(self) -> int | None:
        told = os.read(self.signals, 128)
        number, code = (int.from_bytes(told[at : at + 4], "little", signed=True) for at in (0, 8))
        if number != signal.SIGCHLD:
            # What the kernel sent (a terminal's Ctrl-C) has reached the server as well.
            if code <= 0:
                os.kill(self.pid, number)
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        ended = os.waitstatus_to_exitcode(status)
        if ended < 0:
            if -ended != signal.SIGKILL:
                signal.signal(-ended, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {-ended})
            os.kill(os.getpid(), -ended)
        return abs(ended)

    def _on_request(self) -> bool:
        """Answer one request; False once the server has closed the connection."""
        import json

        try:
            body = os.read(self.server, MOST_BYTES)
        except OSError:
            return False
        if not body:
            return False
        try:
            answer = self.answer(json.loads(body))
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": f"no such request: {error}"}
        try:
            os.write(self.server, json.dumps(answer).encode())
        except OSError:  # the server has ended meanwhile: its exit code is on its way
            return False
        return True

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what the server asks for. Raises ValueError, KeyError, TypeError for what is no request."""
        if request["op"] == "ready":
            return {}
        if request["op"] != "supervisor":
            raise ValueError(request["op"])
        if time.monotonic() < self._started + _pause:
            return {"error": "one was just started"}
        answer = self._start()
        self._started = time.monotonic()
        return answer

    def _start(self) -> dict[str, Any]:
        import json

        heard, told = os.pipe()
        pid = os.posix_spawn(
            self.starter[0],
            self.starter,
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, told, 1), (os.POSIX_SPAWN_CLOSE, heard)],
            setsigmask=(),
        )
        os.close(told)
        with open(heard, "rb") as file:  # noqa: PTH123 (pathlib is not imported here)
            body = file.read(MOST_BYTES)
        os.waitpid(pid, 0)
        try:
            return dict(json.loads(body))
        except ValueError:
            return {"error": "it ended without an answer"}


def command(pid: int, server: int, signals: int, starter: Sequence[str]) -> list[str]:
    """The command line that goes on watching, in the same process."""
    return [sys.executable, "-I", "-S", __file__, str(pid), str(server), str(signals), *starter]


def main(pid: str, server: str, signals: str, *starter: str) -> int:
    """Go on with what `command` was told."""
    for fd in (server, signals):
        os.set_inheritable(int(fd), False)
    return Watch(int(pid), int(server), int(signals), starter).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
