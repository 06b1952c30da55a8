"""Giving files that root or another user owns to the user who is to have them: done by root, once, at a start.

A tree's top is given last. So whether a tree is done shows in its top alone, and one that was interrupted is gone
through again. No link is followed, and nothing that has another name elsewhere is given away: whoever could write into
such a tree before could have put a link, or another name of root's file, there.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Collection
from pathlib import Path

log = logging.getLogger(__name__)

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def hand_over(parent: Path, uid: int, gid: int, *, keep: Collection[str] = ()) -> int:
    """Give every tree in a directory to a user, except those named in `keep`. Returns how many were not theirs yet.

    The directory itself stays as it is; one that is not there has nothing in it. Blocks; raises OSError.
    """
    given = 0
    try:
        fd = os.open(parent, _DIRECTORY)
    except FileNotFoundError:
        return 0
    try:
        for name in os.listdir(fd):  # noqa: PTH208 (of the directory that was opened, whatever its path means by now)
            if name not in keep and not _is_theirs(fd, name, uid, gid):
                _give(fd, name, uid, gid)
                given += 1
    finally:
        os.close(fd)
    return given


def _is_theirs(fd: int, name: str, uid: int, gid: int) -> bool:
    try:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return True
    return (status.st_uid, status.st_gid) == (uid, gid)


def _give(parent: int, name: str, uid: int, gid: int) -> None:
    """Give one tree. Directories wait in a list by their path, opened one name after the other: no tree is too deep."""
    try:
        top = os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError:
        _give_leaf(parent, name, uid, gid)
        return
    try:
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            path = waiting.pop()
            within = _enter(top, path)
            if within is None:
                continue
            try:
                waiting += [(*path, inner) for inner in _give_leaves(within, uid, gid)]
                if path:
                    os.fchown(within, uid, gid)
            finally:
                os.close(within)
        os.fchown(top, uid, gid)
    finally:
        os.close(top)


def _enter(top: int, path: tuple[str, ...]) -> int | None:
    """The directory at a path, opened without following links; None when it has gone meanwhile."""
    fd = os.dup(top)
    for part in path:
        try:
            inner = os.open(part, _DIRECTORY, dir_fd=fd)
        except OSError:
            return None
        finally:
            os.close(fd)
        fd = inner
    return fd


def _give_leaves(within: int, uid: int, gid: int) -> list[str]:
    """Give what is no directory; the names of those that are."""
    directories = []
    with os.scandir(within) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                _give_leaf(within, entry.name, uid, gid)
    return directories


def _give_leaf(within: int, name: str, uid: int, gid: int) -> None:
    try:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
    except FileNotFoundError:
        return
    try:
        status = os.fstat(fd)
        if (status.st_uid, status.st_gid) == (uid, gid):
            return
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and status.st_uid == 0:
            path = Path(f"/proc/self/fd/{fd}").readlink()
            log.warning("%s is root's and has other names: it is left as it is", path)
            return
        # By the descriptor: what was looked at is what is given, whatever the name has come to mean.
        os.chown(f"/proc/self/fd/{fd}", uid, gid)
    finally:
        os.close(fd)
