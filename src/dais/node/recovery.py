"""After a supervisor that was killed: nothing of its containers may be left, and the server must hear of it."""

from __future__ import annotations

import os
import time

from dais.node import processes
from dais.node.cgroups import Group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.journal import Past

KILL_SECONDS, REMOVE_SECONDS = 10.0, 3.0


def clear(past: Past) -> list[int]:
    """KILL and remove everything that the predecessor's unfinished attempts left. Returns what would not die.

    The kernel has ended the sandboxes already. What detached itself is found by its control group and, where there was
    none, by the mark in its environment.
    """
    groups = _left_groups(past)
    for group in groups:
        group.kill()
    left = processes.kill_marked(past.unfinished.__contains__, KILL_SECONDS) if past.unfinished else []
    deadline = time.monotonic() + REMOVE_SECONDS
    while groups and time.monotonic() < deadline:
        for group in groups:
            group.kill()
        groups = [group for group in groups if not group.remove()]
        if groups:
            time.sleep(0.005)
    for version, bases in past.groups:
        if version == "v1" or not groups:
            for base in set(bases.values()):
                try:
                    os.rmdir(base)
                except OSError:
                    pass
    return left


def _left_groups(past: Past) -> list[Group]:
    """Every group below our bases: none of them is in use by a living supervisor."""
    found = []
    for version, bases in past.groups:
        for controller, base in bases.items():
            try:
                names = os.listdir(base)
            except OSError:
                continue
            found += [Group(version, {controller: f"{base}/{name}"}) for name in names if _is_group(f"{base}/{name}")]
    return found


def _is_group(path: str) -> bool:
    return os.path.isdir(path)
