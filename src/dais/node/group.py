"""The control group of one attempt: limits that hold for the whole tree, figures of it, and a sure way to end it."""

from __future__ import annotations

import os

from dais.node.processes import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_LEFT = 2 << 20
"""Bytes that may be left on a group's account when it is kept for another attempt: caches, and what a processor holds
ready."""
Settings = tuple[tuple[str, str, str], ...]
_LISTS = ("cgroup.procs", "tasks")
_ONCE = 4096


def write_text(path: str, value: str) -> None:
    """Write a control file. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def read_text(path: str) -> str | None:
    """A control file's content; None when it cannot be read."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return None


def join(directory: str) -> None:
    """Move the calling process into a group. Raises OSError."""
    write_text(f"{directory}/cgroup.procs", "0")


def enter(doors: Iterable[int]) -> None:
    """Join the group whose `doors` these are, and close them. Raises OSError."""
    for fd in doors:
        os.pwrite(fd, b"0", 0)
        os.close(fd)


class Group:
    """The control groups of one attempt (one directory on v2, one per controller on v1).

    `settings` are its limits: controller, file and value, in the order in which they are written. With `lasting` its
    control files stay open, which makes using them several times quicker, and it can be kept for another attempt.
    """

    __slots__ = ("_entrances", "_lasting", "_limits", "_open", "_single", "dirs", "settings", "version")

    def __init__(self, version: str, dirs: dict[str, str], settings: Settings = (), *, lasting: bool = False) -> None:
        self.version = version
        self.dirs = dirs
        self.settings = settings
        self._lasting = lasting
        self._open: dict[str | tuple[str, str, int], int] = {}
        self._entrances: list[int] = []
        self._limits: list[tuple[int, bytes]] = []
        # A controller for each directory: two may have one together.
        self._single = list({directory: controller for controller, directory in dirs.items()}.values())

    def make(self) -> None:
        """Make the directories and set the limits. Raises OSError with nothing left behind."""
        try:
            for directory in set(self.dirs.values()):
                os.mkdir(directory)
            self._set()
        except OSError:
            self.remove()
            raise

    def join(self) -> None:
        """Move the calling process, which has one thread, into the group. Raises OSError."""
        for fd in self._entrances:
            os.pwrite(fd, b"0", 0)
        if self._entrances:
            return
        # On v1 moving oneself as a thread need not wait for every process of the machine to stop forking.
        name = "tasks" if self.version == "v1" else "cgroup.procs"
        for controller in self._single:
            self._write(controller, name, "0")
        if self._lasting:
            self._entrances = [self._open[controller, name, os.O_WRONLY] for controller in self._single]

    def doors(self) -> list[int]:
        """Descriptors by which a process, whoever it has become since, joins the group (`enter`). Raises OSError.

        What counts is who opened them (Linux since 2022, and what was mended then).
        """
        name = "tasks" if self.version == "v1" else "cgroup.procs"
        return [self._file(controller, name, os.O_WRONLY)[0] for controller in self._single]

    def add(self, pid: int) -> None:
        """Move a process into the group; one that has just ended is no error. Raises OSError."""
        for controller in self._single:
            try:
                self._write(controller, "cgroup.procs", str(pid))
            except ProcessLookupError:
                return

    def controllers(self) -> list[str]:
        """What of memory, cpu, pids and devices is under control here."""
        return [name for name in ("memory", "cpu", "pids", "devices") if name in self.dirs]

    def pids(self) -> list[int]:
        """Every process in the group."""
        for controller in self.dirs:
            text = self._read(controller, "cgroup.procs")
            if text is not None:
                # 0 stands for a process outside our pid namespace.
                return [pid for pid in map(int, text.split()) if pid]
        return []

    def kill(self) -> None:
        """KILL every process in the group; what forks meanwhile needs another call (on v1)."""
        if self.version == "v2":
            try:
                self._write(next(iter(self.dirs)), "cgroup.kill", "1")
                return
            except OSError:
                pass  # a kernel before 5.14
        for pid in self.pids():
            send(pid, 9)

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of the group because its memory limit was reached."""
        return self.times_out_of_memory() > 0

    def times_out_of_memory(self) -> int:
        """How many processes of the group the kernel has killed for that."""
        name = "memory.events" if self.version == "v2" else "memory.oom_control"
        return self._counter("memory", name, "oom_kill")

    def memory(self) -> int | None:
        """Bytes in use."""
        return self._integer("memory", "memory.current" if self.version == "v2" else "memory.usage_in_bytes")

    def memory_peak(self) -> int | None:
        """The most bytes ever in use; None where the kernel does not keep it (v2 before 5.19)."""
        return self._integer("memory", "memory.peak" if self.version == "v2" else "memory.max_usage_in_bytes")

    def cpu_seconds(self) -> float | None:
        """CPU time of all processes that were ever in the group."""
        if self.version == "v2":
            return self._counter(next(iter(self.dirs)), "cpu.stat", "usage_usec") / 1e6
        nanoseconds = self._integer("cpuacct", "cpuacct.usage")
        return None if nanoseconds is None else nanoseconds / 1e9

    def remove(self) -> bool:
        """Remove the group's directories; False if something is still in them (try again soon)."""
        self._close()
        for controller, directory in list(self.dirs.items()):
            try:
                os.rmdir(directory)
            except FileNotFoundError:
                pass
            except OSError:
                return False
            if self.version == "v1":
                del self.dirs[controller]
        return True

    def can_serve_again(self) -> bool:
        """Whether nothing of the attempt is left in it: no process, no group below, no memory worth speaking of."""
        return (
            self._lasting
            and not self.pids()
            and not self.out_of_memory()
            and (self.memory() or 0) <= MOST_LEFT
            and all(os.fstat(self._directory(controller)).st_nlink <= 2 for controller in self._single)
        )

    def rename(self, name: str) -> None:
        """Give its first directory another name, by which people know whose it is (v1 alone can). Raises OSError."""
        before = next(iter(self.dirs.values()))
        after = f"{os.path.dirname(before)}/{name}"
        os.rename(before, after)
        for controller, directory in self.dirs.items():
            if directory == before:
                self.dirs[controller] = after

    def begin_again(self) -> None:
        """Set what limits are not as they were, and let the figures begin at zero. Raises OSError."""
        if not self._limits:
            files = ((self._file(controller, name, os.O_RDWR)[0], value) for controller, name, value in self.settings)
            self._limits = [(fd, f"{value}\n".encode()) for fd, value in files]
        for fd, value in self._limits:
            # Root's own containers can write into their groups. To set one anew takes far longer than to look.
            if os.pread(fd, _ONCE, 0) != value:
                os.pwrite(fd, value, 0)
        for controller, name in (("memory", "memory.max_usage_in_bytes"), ("cpuacct", "cpuacct.usage")):
            if controller in self.dirs:
                self._write(controller, name, "0")

    def _set(self) -> None:
        flags = os.O_RDWR if self._lasting else os.O_WRONLY
        for controller, name, value in self.settings:
            self._write(controller, name, value, flags)

    def _directory(self, controller: str) -> int:
        """A descriptor of a directory, which keeps being that directory's when it gets another name."""
        fd = self._open.get(controller)
        if fd is None:
            fd = self._open[controller] = os.open(self.dirs[controller], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return fd

    def _file(self, controller: str, name: str, flags: int) -> tuple[int, bool]:
        """A control file, and whether it stays open."""
        if not self._lasting:
            return os.open(f"{self.dirs[controller]}/{name}", flags | os.O_CLOEXEC), False
        if name in _LISTS and flags == os.O_RDONLY:  # v1 shows whoever keeps them open an old list
            return os.open(name, flags | os.O_CLOEXEC, dir_fd=self._directory(controller)), False
        key = (controller, name, flags)
        fd = self._open.get(key)
        if fd is None:
            fd = self._open[key] = os.open(name, flags | os.O_CLOEXEC, dir_fd=self._directory(controller))
        return fd, True

    def _write(self, controller: str, name: str, value: str, flags: int = os.O_WRONLY) -> None:
        fd, stays = self._file(controller, name, flags)
        try:
            os.pwrite(fd, value.encode(), 0)
        finally:
            if not stays:
                os.close(fd)

    def _read(self, controller: str, name: str) -> str | None:
        """A control file's content; None when it cannot be read."""
        try:
            fd, stays = self._file(controller, name, os.O_RDONLY)
        except (OSError, KeyError):
            return None
        try:
            content = os.pread(fd, _ONCE, 0)
            while name in _LISTS and (part := os.pread(fd, _ONCE, len(content))):  # all others are told at once
                content += part
        except OSError:
            return None
        finally:
            if not stays:
                os.close(fd)
        return content.decode("ascii", "replace")

    def _integer(self, controller: str, name: str) -> int | None:
        try:
            return int(self._read(controller, name) or "")
        except ValueError:
            return None

    def _counter(self, controller: str, file: str, name: str) -> int:
        """A value from a file of `name value` lines; 0 when it is not there."""
        for line in (self._read(controller, file) or "").splitlines():
            key, _, value = line.partition(" ")
            if key == name and value.isdigit():
                return int(value)
        return 0

    def _close(self) -> None:
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()
        self._entrances, self._limits = [], []
