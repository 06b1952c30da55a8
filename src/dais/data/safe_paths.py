"""Reaching things below a directory, and nothing else: links, `..` and races included.

Jobs write into folders while we read them, so a path must never be checked first and used afterwards. Every step
here opens one name in a directory that is open already, and never follows a link (`openat` with `O_NOFOLLOW`): whatever
is renamed meanwhile, we stay in directories that were reached from the root. Links inside a folder are listed and
carried; the server itself does not follow any.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dais.data.types import Owner

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK the opening of a pipe would wait for somebody who writes into it.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

NOBODY = Owner()


@contextmanager
def opened(path: str | Path) -> Iterator[int]:
    """A directory that is ours, opened."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def open_directory(root: int, path: str, *, create: bool = False, owner: Owner = NOBODY) -> int:
    """The directory at a checked path below the open directory `root` ("": itself), opened. Raises OSError.

    With `create`, directories that are missing are made.
    """
    fd = os.open(".", DIRECTORY, dir_fd=root)
    try:
        for part in path.split("/") if path else ():
            inner = _enter(fd, part, create, owner)
            os.close(fd)
            fd = inner
    except BaseException:
        os.close(fd)
        raise
    return fd


def _enter(fd: int, name: str, create: bool, owner: Owner) -> int:
    try:
        return os.open(name, DIRECTORY, dir_fd=fd)
    except FileNotFoundError:
        if not create:
            raise
    made = False
    with suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=fd)
        made = True
    inner = os.open(name, DIRECTORY, dir_fd=fd)
    if made:
        try:
            os.fchmod(inner, 0o755)
            owner.give(inner)
        except BaseException:
            os.close(inner)
            raise
    return inner


@contextmanager
def directory(root: int, path: str, *, create: bool = False, owner: Owner = NOBODY) -> Iterator[int]:
    """`open_directory`, closed at the end."""
    fd = open_directory(root, path, create=create, owner=owner)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def regular_file(root: int, path: str) -> Iterator[int]:
    """The regular file at a checked path, opened for reading. Raises OSError; ELOOP for links and special files."""
    parent, _, name = path.rpartition("/")
    with directory(root, parent) as within:
        fd = open_regular(within, name)
    try:
        yield fd
    finally:
        os.close(fd)


def open_regular(directory_fd: int, name: str) -> int:
    """The regular file of this name in an open directory, opened for reading. Raises OSError."""
    try:
        fd = os.open(name, FILE, dir_fd=directory_fd)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            error.errno = errno.ELOOP
        raise
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)


def look(root: int, path: str) -> os.stat_result | None:
    """What is at a checked path below `root`, links not followed; None when there is nothing. Raises OSError."""
    parent, _, name = path.rpartition("/")
    try:
        with directory(root, parent) as within:
            return os.stat(name or ".", dir_fd=within, follow_symlinks=False)
    except FileNotFoundError:
        return None


_libc = ctypes.CDLL(None, use_errno=True)
_RENAME_NOREPLACE = 1


def rename_new(from_fd: int, name: str, to_fd: int, new_name: str) -> None:
    """Rename between open directories, replacing nothing. Raises FileExistsError, OSError.

    The kernel refuses by itself to replace. Where its file system cannot (some network file systems), we look first.
    """
    arguments = (from_fd, os.fsencode(name), to_fd, os.fsencode(new_name))
    if _libc.renameat2(*arguments, _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(code, os.strerror(code), new_name)
    try:
        os.stat(new_name, dir_fd=to_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(name, new_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new_name)


class Directories:
    """Directories below a root, opened as they are needed and kept open, the `limit` used last; closes all at its end.

    For batches: thousands of files of one directory need not walk to it each.
    """

    def __init__(self, root: int, *, create: bool, owner: Owner = NOBODY, limit: int = 64) -> None:
        self._root = root
        self._create = create
        self._owner = owner
        self._limit = limit
        self._open: dict[str, int] = {}

    def __enter__(self) -> Directories:
        return self

    def __exit__(self, *_: object) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def get(self, path: str) -> int:
        """The open directory at a checked path; it stays ours to close. Raises OSError."""
        fd = self._open.pop(path, None)
        if fd is None:
            fd = open_directory(self._root, path, create=self._create, owner=self._owner)
            if len(self._open) >= self._limit:
                os.close(self._open.pop(next(iter(self._open))))
        self._open[path] = fd
        return fd
