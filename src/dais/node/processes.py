"""Looking at processes in /proc and ending them."""

from __future__ import annotations

import os
import select
import time

from dais.node.lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MARK = "DAIS_ATTEMPT"
"""The environment variable that tells whose a process is, for the clean-up after a supervisor that was killed."""

_TELLS_CHILDREN = os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
"""Whether the kernel has CONFIG_PROC_CHILDREN."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def _read(path: str, limit: int = 1 << 20) -> bytes:
    """A file's beginning; empty when it cannot be read (the process has just ended, or is not ours to look at)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = []
        while limit > 0 and (part := os.read(fd, min(limit, 1 << 16))):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(fd)


def all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parent(pid: int) -> int:
    """The parent's pid, or 0."""
    fields = _read(f"/proc/{pid}/stat", 4096).rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def children(pid: int) -> list[int]:
    """Direct children of a process with one thread."""
    if _TELLS_CHILDREN:
        return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]
    return [other for other in all_pids() if parent(other) == pid]


def descendants(roots: Iterable[int]) -> list[int]:
    """`roots` and all below them, of threads other than the first as well."""
    found: list[int] = []
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        pid = stack.pop()
        if pid in seen:
            continue
        seen.add(pid)
        found.append(pid)
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        for thread in threads:
            stack += [int(child) for child in _read(f"/proc/{pid}/task/{thread}/children").split()]
    return found


def mark_of(pid: int, name: str = MARK) -> str | None:
    """A variable of a process's environment as it was started; None if it has none that can be read."""
    environ = b"\0" + _read(f"/proc/{pid}/environ")
    start = environ.find(f"\0{name}=".encode())
    if start < 0:
        return None
    return environ[start + len(name) + 2 :].partition(b"\0")[0].decode("ascii", "replace")


def session_of(pid: int) -> int:
    """The session id, or 0."""
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def send(pid: int, number: int) -> bool:
    """Send a signal; False if there is no such process (any more) or it may not be signalled."""
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def user_runs(uid: int) -> bool:
    """Whether any process on this machine is this user's; zombies count. One system call."""
    try:
        os.getpriority(os.PRIO_USER, uid)
    except ProcessLookupError:
        return False
    return True


def of_user(uid: int) -> list[int]:
    """The living processes of a user. Looks at all there are only where there is one."""
    found = []
    for pid in all_pids() if user_runs(uid) else []:
        words = _read(f"/proc/{pid}/status", 4096)
        if f"\nUid:\t{uid}\t".encode() in words and b"\nState:\tZ" not in words:
            found.append(pid)
    return found


def usage(pids: Iterable[int]) -> tuple[int, float, int]:
    """Resident bytes, CPU seconds and number of these processes."""
    memory, ticks, count = 0, 0, 0
    for pid in pids:
        fields = _read(f"/proc/{pid}/stat", 4096).rpartition(b")")[2].split()
        if len(fields) > 21:
            memory += int(fields[21]) * _PAGE
            ticks += sum(int(value) for value in fields[11:15])
            count += 1
    return memory, ticks / _TICKS, count


def kill_marked(belongs: Callable[[str], bool], seconds: float) -> list[int]:
    """KILL every process whose mark `belongs` accepts, and wait until they are gone, at most `seconds`.

    Scans until a scan finds none, so that what forks meanwhile is caught. Returns those that would not die.
    """
    deadline = time.monotonic() + seconds
    own = os.getpid()
    while True:
        found = [pid for pid in all_pids() if pid != own and (mark := mark_of(pid)) is not None and belongs(mark)]
        waiting = select.poll()
        fds: dict[int, int] = {}
        for pid in found:
            try:
                fd = os.pidfd_open(pid)
            except OSError:
                continue
            # Looked at again: the number may have passed to another process in between.
            mark = mark_of(pid)
            if mark is None or not belongs(mark):
                os.close(fd)
                continue
            fds[fd] = pid
            waiting.register(fd, select.POLLIN)
            try:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            except OSError:
                pass
        if not fds:
            return []
        _wait_gone(waiting, fds, deadline)
        left = list(fds.values())
        for fd in fds:
            os.close(fd)
        if time.monotonic() >= deadline:
            return left


def _wait_gone(waiting: select.poll, fds: dict[int, int], deadline: float) -> None:
    while fds and (remaining := deadline - time.monotonic()) > 0:
        for fd, _ in waiting.poll(remaining * 1000):
            waiting.unregister(fd)
            os.close(fd)
            del fds[fd]
