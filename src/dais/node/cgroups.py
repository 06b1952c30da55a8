"""Where this supervisor makes the control groups of its attempts.

Hosts differ: v1 with each controller mounted on its own, v2 with controllers, or nothing that may be written. `detect`
finds out by trying, and says why when there is nothing.

On v1 making and removing the groups of a short run takes as long as the run itself. So a group in which nothing is left
is kept for the next attempt with the same limits, which finds its figures at zero; one of its directories bears the
name of the attempt that has it, or had it until just now: where the next one waits already, it is renamed once. v2
neither renames a group nor forgets its figures, and needs one directory in all.
"""

from __future__ import annotations

import errno
import os

from dais.node.group import Group, read_text, write_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.group import Settings
    from dais.node.spec import Limits

_WANTED = ("memory", "cpu", "pids", "cpuacct", "devices")
# What any program may expect: null, zero, full, random, urandom, tty, ptmx, and its own terminals.
_PLAIN_DEVICES = ("1:3", "1:5", "1:7", "1:8", "1:9", "5:0", "5:2", "136:*")
_PERIOD = 100_000


MOST_LASTING = 64
"""Groups that are made to be kept for others."""


class Cgroups:
    """Where this supervisor may make groups: `bases` maps a controller to a directory of ours.

    `has_home` tells whether the groups that the supervisor itself is in are known, so that it can `enter` another one
    and `leave` it.
    """

    def __init__(self, version: str, bases: dict[str, str]) -> None:
        self.version = version
        self.bases = bases
        self._home = Group(version, self._find_home(), lasting=True)
        self._made = self._number = 0
        self._spare: list[Group] = []
        self._named: list[Group] = []
        """The spare ones that bear the name of an attempt that has ended."""
        # Memory plus swap, where the kernel counts it: else a job would go on in swap instead of ending.
        swap = "memory.swap.max" if version == "v2" else "memory.memsw.limit_in_bytes"
        self._counts_swap = "memory" in bases and os.path.exists(f"{bases['memory']}/{swap}")

    @property
    def has_home(self) -> bool:
        return bool(self._home.dirs)

    def leave(self) -> None:
        """Return to the supervisor's own groups. Raises OSError."""
        self._home.join()

    def _find_home(self) -> dict[str, str]:
        found = {}
        own = str(os.getpid())
        mounts, paths = mount_points(), memberships()
        for controller in self.bases:
            if controller == "devices":  # nothing is born in such a group: sandboxes are admitted to it
                continue
            name = controller if self.version == "v1" else ""
            for directory in (mounts[name] + paths.get(name, "/").rstrip("/"), mounts[name]):
                if own in (read_text(f"{directory}/cgroup.procs") or "").split():
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
        settings = tuple(self._settings(dirs, limits) + _device_settings(dirs, devices or []))
        group = self._take(attempt_id, settings)
        if group is None:
            lasting = self.version == "v1" and not devices and self._made < MOST_LASTING
            group = Group(self.version, self._common(dirs) if lasting else dirs, settings, lasting=lasting)
            group.make()
            self._made += 1
        return group

    def give_back(self, group: Group) -> bool:
        """An attempt has ended: keep its group for another, or remove it. False if something is still in it.

        One that is kept bears the attempt's name until another has it, or until `put_away`.
        """
        if len(self._spare) < MOST_LASTING and group.can_serve_again():
            self._spare.append(group)
            self._named.append(group)
            return True
        return self._remove(group)

    def put_away(self) -> None:
        """Nobody waits for a group: let none bear the name of an attempt that has ended."""
        while self._named:
            group = self._named.pop()
            try:
                group.rename(f".spare-{id(group):x}")
            except OSError:
                self._spare.remove(group)
                self._remove(group)

    def remove_base(self) -> None:
        """Remove our own directories, once nothing is in them."""
        while self._spare:
            self._remove(self._taken(self._spare[-1]))
        for base in set(self.bases.values()):
            try:
                os.rmdir(base)
            except OSError:
                pass

    def _common(self, dirs: dict[str, str]) -> dict[str, str]:
        """Directories of which only the first bears the attempt's name, for another attempt shall have the rest."""
        self._number += 1
        first = next(iter(dirs.values()))
        return {
            controller: path if path == first else f"{self.bases[controller]}/.lasting-{self._number}"
            for controller, path in dirs.items()
        }

    def _take(self, attempt_id: str, settings: Settings) -> Group | None:
        """A spare group with these limits, which becomes this attempt's; None when there is none."""
        found = next((group for group in reversed(self._spare) if group.settings == settings), None)
        if found is None:
            if self._made >= MOST_LASTING and self._spare:  # the oldest makes way for one with other limits
                self._remove(self._taken(self._spare[0]))
            return None
        self._taken(found)
        try:
            found.rename(attempt_id)
            found.begin_again()
        except OSError:
            self._remove(found)
            return None
        return found

    def _taken(self, group: Group) -> Group:
        """One of the spare ones, which it is no more."""
        self._spare.remove(group)
        if group in self._named:
            self._named.remove(group)
        return group

    def _remove(self, group: Group) -> bool:
        if not group.remove():
            return False
        self._made -= 1
        return True

    def _settings(self, dirs: dict[str, str], limits: Limits) -> list[tuple[str, str, str]]:
        settings: list[tuple[str, str, str]] = []
        if limits.memory is not None and "memory" in dirs:
            memory = str(limits.memory)
            if self.version == "v2":
                settings.append(("memory", "memory.max", memory))
                settings += [("memory", "memory.swap.max", "0")] if self._counts_swap else []
            else:
                settings.append(("memory", "memory.limit_in_bytes", memory))
                settings += [("memory", "memory.memsw.limit_in_bytes", memory)] if self._counts_swap else []
        if limits.cpu is not None and "cpu" in dirs:
            quota = max(1000, int(limits.cpu * _PERIOD))
            if self.version == "v2":
                settings.append(("cpu", "cpu.max", f"{quota} {_PERIOD}"))
            else:
                settings.append(("cpu", "cpu.cfs_period_us", str(_PERIOD)))
                settings.append(("cpu", "cpu.cfs_quota_us", str(quota)))
        if limits.pids is not None and "pids" in dirs:
            settings.append(("pids", "pids.max", str(limits.pids)))
        return settings


def _device_settings(dirs: dict[str, str], devices: list[str]) -> list[tuple[str, str, str]]:
    if "devices" not in dirs:
        return []
    numbers = [os.stat(path).st_rdev for path in devices]
    allowed = [*_PLAIN_DEVICES, *(f"{os.major(number)}:{os.minor(number)}" for number in numbers)]
    return [
        ("devices", "devices.deny", "a"),
        *(("devices", "devices.allow", f"c {name} rw") for name in allowed),
    ]


def detect(name: str) -> Cgroups | str:
    """Make our base groups, called `name`. Returns the reason when this machine gives us none."""
    try:
        mounts, own = mount_points(), memberships()
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
        available = (read_text(f"{above}/cgroup.controllers") or "").split()
        wanted: list[str] = [name for name in ("memory", "cpu", "pids") if name in available]
        if not wanted:
            reason = reason or f"{above} has none of the controllers memory, cpu and pids"
            continue
        base = f"{above}/{name}"
        try:
            _delegate(above, wanted)
            os.makedirs(base, exist_ok=True)
            write_text(f"{base}/cgroup.subtree_control", " ".join(f"+{controller}" for controller in wanted))
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
    enabled = (read_text(f"{above}/cgroup.subtree_control") or "").split()
    missing = " ".join(f"+{controller}" for controller in wanted if controller not in enabled)
    if not missing:
        return
    try:
        write_text(f"{above}/cgroup.subtree_control", missing)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # A group with processes hands nothing down: if they are ours alone, step into a leaf.
        pids = (read_text(f"{above}/cgroup.procs") or "").split()
        if pids != [str(os.getpid())]:
            raise
        leaf = f"{above}/dais-supervisor"
        os.makedirs(leaf, exist_ok=True)
        write_text(f"{leaf}/cgroup.procs", "0")
        write_text(f"{above}/cgroup.subtree_control", missing)


def mount_points() -> dict[str, str]:
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


def memberships() -> dict[str, str]:
    """Controller → the group that this process is in; "" → on the unified hierarchy."""
    found: dict[str, str] = {}
    with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                found[controller] = path
    return found
