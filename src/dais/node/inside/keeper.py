"""Keeps an app inside a job: reads what it prints, keeps the end of it, notes how it ended, and tells whether it runs.

`apps` brings it along. All that is known of an app is in one directory: `state`, `log`, `end`.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import sys
import termios
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

KEPT = 64 << 10
"""Bytes of output that are kept; the file has at most twice as many."""
SETTLE_SECONDS = 5
"""How long the keeper of an app that has ended may take to note it."""
SETTLE_PAUSE = 0.005


class Failed(Exception):
    """The app cannot be started; `args[0]` says why."""


def keep(argv: list[str], environ: dict[str, str], place: str, lock: int) -> tuple[int, int]:
    """Start the command, and a process that reads what it prints; returns both their pids."""
    tell_read, tell_write = os.pipe()
    sys.stdout.flush()
    first = os.fork()
    if first == 0:
        try:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.close(tell_read)
            os.close(lock)
            keeper(argv, environ, place, tell_write)
        finally:
            os._exit(1)
    os.close(tell_write)
    os.waitpid(first, 0)
    with os.fdopen(tell_read) as file:
        words = file.read().split()
    if len(words) != 2:
        raise Failed("it could not be started: no process could be made")
    return int(words[0]), int(words[1])


def keeper(argv: list[str], environ: dict[str, str], place: str, tell: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        run(argv, environ, write)
    os.close(write)
    os.write(tell, b"%d %d" % (os.getpid(), child))
    os.close(tell)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write)
    log, open_pipe, ended = Log(os.path.join(place, "log")), True, False
    while open_pipe or not ended:
        if not ended:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                ended = True
                log.take(read, waiting(read))  # whoever learns that it has ended finds its last words
                write_end(place, status)
                continue
        ready = select.select([read] * open_pipe + [wake_read], [], [], None)[0]
        if wake_read in ready:
            os.read(wake_read, 512)
        if read in ready:
            open_pipe = log.take(read, KEPT) > 0


def waiting(pipe: int) -> int:
    """Bytes that are in a pipe now."""
    count: int = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]
    return count


class Log:
    """The end of what an app prints, in a file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.written = 0

    def take(self, pipe: int, most: int) -> int:
        """Move what is in the pipe, at most so many bytes; how many, 0 at its end."""
        data = os.read(pipe, most)
        self.written += put(self.file, data)
        if self.written > 2 * KEPT:
            self.shorten()
        return len(data)

    def shorten(self) -> None:
        """Keep the end of it in a new file."""
        fresh = self.path + ".new"
        try:
            with open(self.path, "rb") as old:
                old.seek(-KEPT, os.SEEK_END)
                tail = old.read()
            file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
            put(file, tail)
            os.rename(fresh, self.path)
        except OSError:
            os.ftruncate(self.file, 0)
            self.written = 0
            return
        os.close(self.file)
        self.file, self.written = file, len(tail)


def put(file: int, data: bytes) -> int:
    try:
        os.write(file, data)
    except OSError:
        return 0  # the disk is full: the app goes on
    return len(data)


def run(argv: list[str], environ: dict[str, str], write: int) -> NoReturn:
    try:
        os.setsid()
        os.dup2(write, 1)
        os.dup2(write, 2)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execvpe(argv[0], argv, environ)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode("utf-8", "replace"))
    finally:
        os._exit(127)


def write_end(place: str, status: int) -> None:
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    fresh = os.path.join(place, "end.new")
    with open(fresh, "w") as file:
        file.write(str(code))
    os.rename(fresh, os.path.join(place, "end"))


# What is known of an app.


def state_of(place: str) -> dict[str, Any] | None:
    """Its ports and whether it runs; None when it was never started."""
    try:
        with open(os.path.join(place, "state")) as file:
            state: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return None
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        # Asked in this order: a keeper that has gone has noted the end, if it ever will.
        kept, runs = alive(state["keeper"], state["keeper_began"]), alive(state["pid"], state["pid_began"])
        code = end_of(place)
        if code is not None or runs or not kept or time.monotonic() > until:
            break
        time.sleep(SETTLE_PAUSE)
    state["running"] = code is None and runs
    state["exit_code"] = code
    return state


def end_of(place: str) -> int | None:
    """The exit code that its keeper has noted; None while there is none."""
    try:
        with open(os.path.join(place, "end")) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def end_rest(state: dict[str, Any]) -> None:
    """What is left of an app whose keeper or first process has gone goes, too, for its port must be free."""
    if alive(state["pid"], state["pid_began"]):
        try:
            os.killpg(state["pid"], signal.SIGKILL)
        except OSError:
            pass


def alive(pid: int, since: int | None) -> bool:
    return since is not None and began(pid) == since


def began(pid: int) -> int | None:
    """When a process was started, in ticks, so that its pid means no other; None when it has gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def last(place: str, size: int) -> str:
    """The end of what it printed."""
    try:
        with open(os.path.join(place, "log"), "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - size))
            return file.read(size).decode("utf-8", "replace")
    except OSError:
        return ""


def note(place: str, text: str) -> None:
    with open(os.path.join(place, "log"), "ab") as file:
        file.write(text.encode("utf-8", "replace")[:KEPT])
