"""The control groups that this process was put into by others: what they bound holds for everything started here."""

from __future__ import annotations

from dais.node import cgroups
from dais.node.group import Group, read_text

_UNBOUNDED = 1 << 50


class Around:
    """The group whose memory an allocation counts. `bounded` tells whether it, or one above it, has a limit."""

    def __init__(self, version: str, directory: str, mount: str) -> None:
        self.version = version
        self._group = Group(version, {"memory": directory})
        self.bounded = any(_limit(version, above) < _UNBOUNDED for above in _upward(directory, mount))
        self._killed_before = self._group.times_out_of_memory()

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed something here for want of memory, since this was made."""
        return self._group.times_out_of_memory() > self._killed_before


def find_around() -> Around | None:
    """The group that this process is in; None where none counts memory."""
    try:
        mounts, own = cgroups.mount_points(), cgroups.memberships()
    except OSError:
        return None
    for version, name in (("v1", "memory"), ("v2", "")):
        if name in mounts and name in own:
            directory = mounts[name] + own[name].rstrip("/")
            file = "memory.limit_in_bytes" if version == "v1" else "memory.events"
            if read_text(f"{directory}/{file}") is not None:
                return Around(version, directory, mounts[name])
    return None


def _upward(directory: str, mount: str) -> list[str]:
    found = [directory]
    while found[-1] != mount and found[-1].startswith(mount):
        found.append(found[-1].rpartition("/")[0])
    return found


def _limit(version: str, directory: str) -> int:
    text = (read_text(f"{directory}/{'memory.limit_in_bytes' if version == 'v1' else 'memory.max'}") or "").strip()
    return int(text) if text.isdigit() else _UNBOUNDED
