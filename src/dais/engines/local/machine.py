"""What this machine has: cores and memory that its processes may really use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_least_memory = 64 << 20


def cores(root: Path = Path("/")) -> float:
    """Cores that this process may use: its affinity, bounded by the quota of its control group."""
    available = float(len(os.sched_getaffinity(0)))
    quotas = [quota for directory in _cgroups(root, "cpu") if (quota := _quota(directory)) is not None]
    return min([available, *quotas])


def memory(reserve: int = 0, root: Path = Path("/")) -> int:
    """Bytes of memory that can be offered: the machine's or the control group's, less the reserve.

    Never less than 64 MiB, so that a large reserve on a small machine leaves something.
    """
    total = _total(root)
    limits = [limit for directory in _cgroups(root, "memory") if (limit := _memory_limit(directory)) is not None]
    return max(min([total, *limits]) - reserve, _least_memory)


def _total(root: Path) -> int:
    for line in (root / "proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "MemTotal":
            return int(rest.split()[0]) << 10
    raise OSError("/proc/meminfo has no line MemTotal")


def _cgroups(root: Path, controller: str) -> Iterator[Path]:
    """The directories of this process's control group and those above it, of the hierarchy with the controller."""
    paths: dict[str, str] = {}
    path: str | None
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, own = line.split(":", 2)
        paths |= dict.fromkeys(controllers.split(","), own)  # the unified hierarchy names none: ""
    for line in _lines(root / "proc/self/mountinfo"):
        head, _, tail = line.partition(" - ")
        mounted, point, kind = head.split()[3], head.split()[4], tail.split()
        if kind[0] == "cgroup2":
            path = paths.get("")
        elif kind[0] == "cgroup" and controller in kind[2].split(","):
            path = paths.get(controller)
        else:
            continue
        if path is None:
            continue
        # In a container the hierarchy may be mounted from the group's own directory on.
        inside = path.removeprefix(mounted) if mounted != "/" and path.startswith(mounted) else path
        top = root / point.lstrip("/")
        here = top / inside.strip("/")
        yield from (directory for directory in (here, *here.parents) if directory.is_relative_to(top))


def _quota(directory: Path) -> float | None:
    """Cores that a control group may use; None without a limit."""
    text = _text(directory / "cpu.max")
    if text:
        quota, _, period = text.partition(" ")
    else:
        quota, period = _text(directory / "cpu.cfs_quota_us"), _text(directory / "cpu.cfs_period_us")
    if not quota.isdecimal() or not period.isdecimal() or not int(period):
        return None
    return int(quota) / int(period)


def _memory_limit(directory: Path) -> int | None:
    text = _text(directory / "memory.max") or _text(directory / "memory.limit_in_bytes")
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines()


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
