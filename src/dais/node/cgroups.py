"""One control group per attempt: limits that hold for the whole tree, figures of it, and a sure way to end it.

Hosts differ: v1 with each controller mounted on its own, v2 with controllers, or nothing that may be written. `detect`
finds out by trying, and says why when there is nothing.
"""

from __future__ import annotations

import errno
import os

from dais.node.processes import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.spec import Limits

_WANTED = ("memory", "cpu", "pids", "cpuacct", "devices")
# What any program may expect: null, zero, full, random, urandom, tty, ptmx, and its own terminals.
_PLAIN_DEVICES = ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:2", "136:*")
_PERIOD = 100_000


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return None


def _integer(path: str) -> int | None:
    text = _read(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _counter(path: str, name: str) -> int:
    """A value from a file of `name value` lines; 0 when it is not there."""
    for line in (_read(path) or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0


def join(directory: str) -> None:
    """Move the calling process into a group. Raises OSError."""
    _write(f"{directory}/cgroup.procs", "0")


class Group:
    """The control groups of one attempt (one directory on v2, one per controller on v1)."""

    __slots__ = ("dirs", "version")

    def __init__(self, version: str, dirs: dict[str, str]) -> None:
        self.version = version
        self.dirs = dirs

    def join(self) -> None:
        """Move the calling process into the group. Raises OSError."""
        for directory in set(self.dirs.values()):
            join(directory)

    def add(self, pid: int) -> None:
        """Move a process into the group; one that has just ended is no error. Raises OSError."""
        for directory in set(self.dirs.values()):
            try:
                _write(f"{directory}/cgroup.procs", str(pid))
            except ProcessLookupError:
                return

    def controllers(self) -> list[str]:
        """What of memory, cpu, pids and devices is under control here."""
        return [name for name in ("memory", "cpu", "pids", "devices") if name in self.dirs]

    def pids(self) -> list[int]:
        """Every process in the group."""
        for directory in self.dirs.values():
            text = _read(f"{directory}/cgroup.procs")
            if text is not None:
                # 0 stands for a process outside our pid namespace.
                return [pid for pid in map(int, text.split()) if pid]
        return []

    def kill(self) -> None:
        """KILL every process in the group; what forks meanwhile needs another call (on v1)."""
        if self.version == "v2":
            try:
                _write(f"{next(iter(self.dirs.values()))}/cgroup.kill", "1")
                return
            except OSError:
                pass  # a kernel before 5.14
        for pid in self.pids():
            send(pid, 9)

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of the group because its memory limit was reached."""
        if "memory" not in self.dirs:
            return False
        name = "memory.events" if self.version == "v2" else "memory.oom_control"
        return _counter(f"{self.dirs['memory']}/{name}", "oom_kill") > 0

    def memory(self) -> int | None:
        """Bytes in use."""
        name = "memory.current" if self.version == "v2" else "memory.usage_in_bytes"
        return _integer(f"{self.dirs['memory']}/{name}") if "memory" in self.dirs else None

    def memory_peak(self) -> int | None:
        """The most bytes ever in use; None where the kernel does not keep it (v2 before 5.19)."""
        name = "memory.peak" if self.version == "v2" else "memory.max_usage_in_bytes"
        return _integer(f"{self.dirs['memory']}/{name}") if "memory" in self.dirs else None

    def cpu_seconds(self) -> float | None:
        """CPU time of all processes that were ever in the group."""
        if self.version == "v2":
            return _counter(f"{next(iter(self.dirs.values()))}/cpu.stat", "usage_usec") / 1e6
        nanoseconds = _integer(f"{self.dirs['cpuacct']}/cpuacct.usage") if "cpuacct" in self.dirs else None
        return None if nanoseconds is None else nanoseconds / 1e9

    def remove(self) -> bool:
        """Remove the group's directories; False if something is still in them (try again soon)."""
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


class Cgroups:
    """Where this supervisor may make groups: `bases` maps a controller to a directory of ours.

    `home` are the groups that the supervisor itself is in, by controller; empty when they cannot be told.
    """

    def __init__(self, version: str, bases: dict[str, str]) -> None:
        self.version = version
        self.bases = bases
        self.home = self._find_home()

    def _find_home(self) -> dict[str, str]:
        found = {}
        own = str(os.getpid())
        mounts, paths = _mounts(), _own_groups()
        for controller in self.bases:
            if controller == "devices":  # nothing is born in such a group: sandboxes are admitted to it
                continue
            name = controller if self.version == "v1" else ""
            for directory in (mounts[name] + paths.get(name, "/").rstrip("/"), mounts[name]):
                if own in (_read(f"{directory}/cgroup.procs") or "").split():
                    found[controller] = directory
                    break
            else:
                return {}
        return found

    def create(self, attempt_id: str, limits: Limits, devices: list[str] | None = None) -> Group:
        """Make an attempt's group with its limits. Raises OSError with nothing left behind.

        With `devices` (paths of device nodes) no others can be opened, beside those that every program expects. That
        needs v1: v2 has a program in the kernel in the place of the controller.
        """
        dirs = {controller: f"{base}/{attempt_id}" for controller, base in self.bases.items()}
        if self.version == "v1" and limits.cpu is None:
            dirs.pop("cpu", None)
        if not devices:
            dirs.pop("devices", None)
        group = Group(self.version, dirs)
        try:
            for directory in set(dirs.values()):
                os.mkdir(directory)
            for path, value in self._settings(dirs, limits) + _device_settings(dirs, devices or []):
                _write(path, value)
        except OSError:
            group.remove()
            raise
        return group

    def existing(self, attempt_id: str) -> Group:
        """The group that a predecessor may have left."""
        dirs = {controller: f"{base}/{attempt_id}" for controller, base in self.bases.items()}
        return Group(self.version, {name: path for name, path in dirs.items() if os.path.isdir(path)})

    def remove_base(self) -> None:
        """Remove our own directories, once nothing is in them."""
        for base in set(self.bases.values()):
            try:
                os.rmdir(base)
            except OSError:
                pass

    def _settings(self, dirs: dict[str, str], limits: Limits) -> list[tuple[str, str]]:
        settings: list[tuple[str, str]] = []
        if limits.memory is not None and "memory" in dirs:
            memory = dirs["memory"]
            if self.version == "v2":
                settings.append((f"{memory}/memory.max", str(limits.memory)))
                if os.path.exists(f"{memory}/memory.swap.max"):
                    settings.append((f"{memory}/memory.swap.max", "0"))
            else:
                settings.append((f"{memory}/memory.limit_in_bytes", str(limits.memory)))
                # Memory plus swap, where the kernel counts it: else a job would go on in swap instead of ending.
                if os.path.exists(f"{memory}/memory.memsw.limit_in_bytes"):
                    settings.append((f"{memory}/memory.memsw.limit_in_bytes", str(limits.memory)))
        if limits.cpu is not None and "cpu" in dirs:
            quota = max(1000, int(limits.cpu * _PERIOD))
            if self.version == "v2":
                settings.append((f"{dirs['cpu']}/cpu.max", f"{quota} {_PERIOD}"))
            else:
                settings.append((f"{dirs['cpu']}/cpu.cfs_period_us", str(_PERIOD)))
                settings.append((f"{dirs['cpu']}/cpu.cfs_quota_us", str(quota)))
        if limits.pids is not None and "pids" in dirs:
            settings.append((f"{dirs['pids']}/pids.max", str(limits.pids)))
        return settings


def _device_settings(dirs: dict[str, str], devices: list[str]) -> list[tuple[str, str]]:
    if "devices" not in dirs:
        return []
    numbers = [os.stat(path).st_rdev for path in devices]
    allowed = [*_PLAIN_DEVICES, *(f"{os.major(number)}:{os.minor(number)}" for number in numbers)]
    directory = dirs["devices"]
    return [
        (f"{directory}/devices.deny", "a"),
        *((f"{directory}/devices.allow", f"c {name} rw") for name in allowed),
    ]


def detect(name: str) -> Cgroups | str:
    """Make our base groups, called `name`. Returns the reason when this machine gives us none."""
    try:
        mounts, own = _mounts(), _own_groups()
    except OSError as error:
        return f"/proc cannot be read: {error}"
    v1 = {controller: path for controller, path in mounts.items() if controller in _WANTED}
    if v1:
        return _detect_v1(name, v1, own)
    if "" in mounts:
        return _detect_v2(name, mounts[""], own.get("", "/"))
    return "no control groups are mounted"


def _detect_v1(name: str, mounts: dict[str, str], own: dict[str, str]) -> Cgroups | str:
    bases: dict[str, str] = {}
    reason = ""
    for controller, mount in mounts.items():
        for above in (mount + own.get(controller, "/").rstrip("/"), mount):
            base = f"{above}/{name}"
            try:
                os.makedirs(base, exist_ok=True)
                os.mkdir(f"{base}/probe")
                os.rmdir(f"{base}/probe")
            except OSError as error:
                reason = f"{base} cannot be made: {error.strerror}"
                continue
            bases[controller] = base
            break
    if "memory" not in bases and "pids" not in bases:
        return reason or "neither the memory nor the pids controller is mounted"
    return Cgroups("v1", bases)


def _detect_v2(name: str, mount: str, own: str) -> Cgroups | str:
    reason = ""
    for above in dict.fromkeys((mount + own.rstrip("/"), mount)):
        available = (_read(f"{above}/cgroup.controllers") or "").split()
        wanted: list[str] = [name for name in ("memory", "cpu", "pids") if name in available]
        if not wanted:
            reason = reason or f"{above} has none of the controllers memory, cpu and pids"
            continue
        base = f"{above}/{name}"
        try:
            _delegate(above, wanted)
            os.makedirs(base, exist_ok=True)
            _write(f"{base}/cgroup.subtree_control", " ".join(f"+{controller}" for controller in wanted))
            os.mkdir(f"{base}/probe")
            os.rmdir(f"{base}/probe")
        except OSError as error:
            reason = (
                f"{base} cannot be made: {error.strerror}; a delegated scope helps "
                "(systemd-run --user --scope -p Delegate=yes)"
            )
            continue
        return Cgroups("v2", dict.fromkeys(wanted, base))
    return reason or "the unified hierarchy has no controllers"


def _delegate(above: str, wanted: list[str]) -> None:
    """Hand controllers to the children of a group. Raises OSError."""
    enabled = (_read(f"{above}/cgroup.subtree_control") or "").split()
    missing = " ".join(f"+{controller}" for controller in wanted if controller not in enabled)
    if not missing:
        return
    try:
        _write(f"{above}/cgroup.subtree_control", missing)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # A group with processes hands nothing down: if they are ours alone, step into a leaf.
        pids = (_read(f"{above}/cgroup.procs") or "").split()
        if pids != [str(os.getpid())]:
            raise
        leaf = f"{above}/dais-supervisor"
        os.makedirs(leaf, exist_ok=True)
        _write(f"{leaf}/cgroup.procs", "0")
        _write(f"{above}/cgroup.subtree_control", missing)


def _mounts() -> dict[str, str]:
    """Controller → mount point on v1; "" → the unified hierarchy."""
    found: dict[str, str] = {}
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split()
            point, (kind, _, options) = fields[4], fields[fields.index("-") + 1 :][:3]
            if kind == "cgroup2":
                found[""] = point
            elif kind == "cgroup":
                for option in options.split(","):
                    found[option] = point
    return found


def _own_groups() -> dict[str, str]:
    """Controller → the group that this process is in; "" → on the unified hierarchy."""
    found: dict[str, str] = {}
    with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                found[controller] = path
    return found
