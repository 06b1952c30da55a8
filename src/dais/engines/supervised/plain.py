"""Reading what somebody else writes, who may put anything in its place: a link, a pipe, a file without end."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dais.node.kernel import open_beneath

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


def read_plain(path: Path, most: int, *, tail: bool = False) -> bytes:
    """At most so many bytes of a regular file, its first ones or its last; nothing of what is none, or is not there.

    Only the last part of the path may be somebody else's to change. Raises OSError for a disk that cannot be read.
    """
    try:
        fd = os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError):
        return b""
    except OSError as error:
        if error.errno in (40, 6):  # a link; a pipe or device without another end
            return b""
        raise
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return b""
        start = max(0, about.st_size - most) if tail else 0
        return os.pread(fd, most, start)
    finally:
        os.close(fd)


@contextlib.contextmanager
def directory_beneath(top: Path, inner: str) -> Iterator[str]:
    """A path that leads to a directory below `top` through no link, whatever is put in its place meanwhile.

    Raises OSError where there is none.
    """
    above = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fd = open_beneath(above, inner)
    finally:
        os.close(above)
    try:
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
