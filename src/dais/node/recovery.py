"""After a supervisor that was killed: nothing of its containers may be left, and the server must hear of it."""

from __future__ import annotations

import os
import time

from dais.node import processes
from dais.node.group import Group
from dais.node.leases import kill_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.journal import Past

KILL_SECONDS, REMOVE_SECONDS = 10.0, 3.0


def clear(past: Past) -> list[int]:
    """KILL and remove everything that the predecessor's unfinished attempts left. Returns what would not die.

    The kernel has ended the sandboxes already. What detached itself is found by its control group and, where there was
    none, by the mark in its environment.
    """
    for group in _groups_below(past.groups):
        group.kill()
    left = processes.kill_marked(past.unfinished.__contains__, KILL_SECONDS) if past.unfinished else []
    left += _kill_users({line["uid"] for line in past.unfinished.values() if "uid" in line})
    remove_groups(past.groups)
    for _, bases in past.groups:
        for base in set(bases.values()):
            try:
                os.rmdir(base)
            except OSError:
                pass
    return left


def _kill_users(uids: set[int]) -> list[int]:
    """KILL what ran with a leased uid. Returns what would not die."""
    deadline = time.monotonic() + KILL_SECONDS
    while uids and time.monotonic() < deadline:
        for uid in uids:
            kill_user(uid)
        uids = {uid for uid in uids if processes.of_user(uid)}
        if uids:
            time.sleep(0.005)
    return [pid for uid in uids for pid in processes.of_user(uid)]


def remove_groups(places: list[tuple[str, dict[str, str]]]) -> None:
    """End and remove every group below these (version, bases); only before this supervisor has made one."""
    groups = _groups_below(places)
    deadline = time.monotonic() + REMOVE_SECONDS
    while groups and time.monotonic() < deadline:
        for group in groups:
            group.kill()
        groups = [group for group in groups if not group.remove()]
        if groups:
            time.sleep(0.005)


def _groups_below(places: list[tuple[str, dict[str, str]]]) -> list[Group]:
    found = []
    for version, bases in places:
        for controller, base in bases.items():
            try:
                names = os.listdir(base)
            except OSError:
                continue
            paths = [f"{base}/{name}" for name in names]
            found += [Group(version, {controller: path}) for path in paths if os.path.isdir(path)]
    return found
