"""The files of a blob store in a directory: their names, the lock, what is flushed and what goes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dais.data.durable import flush_directories
from dais.data.hashing import PREFIX
from dais.data.recipes import SUFFIX
from dais.data.types import Stored


@contextmanager
def locked(root: Path, how: int) -> Iterator[None]:
    """Hold the lock of a store, shared or alone. Blocks."""
    fd = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, how)
        yield
    finally:
        os.close(fd)


def flush_parents(places: Iterable[Path]) -> None:
    """Bring the names of files to the disk."""
    fds: list[int] = []
    try:
        for parent in {place.parent for place in places}:
            fds.append(os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        flush_directories(fds)
    finally:
        for fd in fds:
            os.close(fd)


def stored_as(name: str, size: int, changed: float) -> Stored:
    """What a name in the store says."""
    digits = name.removesuffix(SUFFIX)
    return Stored(PREFIX + digits, size, changed, is_recipe=digits != name)


def sweep(directory: Path, used: Collection[str], before: float, *, dry_run: bool) -> int:
    """Remove blobs of a directory that are not used and were not touched since; their bytes."""
    freed = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                info = entry.stat(follow_symlinks=False)
                if info.st_mtime < before and PREFIX + entry.name.removesuffix(SUFFIX) not in used:
                    if not dry_run:
                        Path(entry.path).unlink()
                    freed += info.st_size
    return freed
