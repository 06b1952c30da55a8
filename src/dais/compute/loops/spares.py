"""Directories of runs that left nothing in them, kept for the next: a disk takes longer to make and to remove one than
a short run takes, and where it discards what is freed, everybody who writes waits for that."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
from collections import deque
from pathlib import Path

MOST = 128
"""Directories that are kept."""

WORK = "work"
"""What a run has of its directory."""
_ROOM = 4096
"""Bytes that a directory has which never held much; one that did keeps its size."""
_MODE = 0o755


class Spares:
    """Run directories, each with an empty working directory, as `stage` makes them. For several threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._free: deque[str] = deque()
        self._numbers = itertools.count()

    def begin(self) -> None:
        """Remove what a predecessor kept. Raises OSError."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o755)

    def take(self, directory: Path) -> bool:
        """Let a kept one be that directory; False when there is none, or something is there already."""
        try:
            name = self._free.pop()
        except IndexError:
            return False
        try:
            os.rename(f"{self._directory}/{name}", directory)  # noqa: PTH104 (each run comes through here)
        except OSError:
            self._free.append(name)
            return False
        return True

    def keep(self, directory: Path, uid: int, gid: int | None) -> bool:
        """Keep a run's directory if it is as it was made: empty, this user's, with no rights of its own."""
        if len(self._free) >= MOST or not _as_made(f"{directory}/{WORK}", uid, gid):
            return False
        name = str(next(self._numbers))
        try:
            os.rename(directory, f"{self._directory}/{name}")  # noqa: PTH104
        except OSError:
            return False
        self._free.append(name)
        return True


def _as_made(path: str, uid: int, gid: int | None) -> bool:
    """Whether an ended job left its working directory so that nobody could tell it from a new one."""
    try:
        status = os.lstat(path)
        return (
            stat.S_ISDIR(status.st_mode)
            and stat.S_IMODE(status.st_mode) == _MODE
            and status.st_uid == uid
            and gid in (None, status.st_gid)
            and status.st_size <= _ROOM
            and not os.listdir(path)  # noqa: PTH208
            and not _marked(path)
        )
    except OSError:
        return False


def _marked(path: str) -> bool:
    """Whether somebody gave a directory attributes, such as rights for others that its files would inherit."""
    try:
        return any(name.startswith(("user.", "system.")) for name in os.listxattr(path, follow_symlinks=False))
    except OSError:  # a file system without them
        return False
