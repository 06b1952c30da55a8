"""A folder's content in another folder, while jobs may go on to write into the first.

Files share their extents where the file system does that (reflinks), else they are copied; they keep their times and
the executable bit. Links that stay inside are carried, as by a push; other things are left out.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dais.data import safe_paths
from dais.data.durable import flush_files
from dais.data.errors import disk_errors
from dais.data.folder_store import FolderStore
from dais.data.reading import measure, walk
from dais.data.types import Entry
from dais.wire.paths import stays_inside

GROUP = 64
"""Files that are flushed side by side."""

PIECE = 64 << 20
"""Bytes that the kernel copies at once."""

FICLONE = 0x40049409
_new = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def copy_folder(store: FolderStore, source_id: str, into_id: str) -> None:
    """Copy all that a folder holds into one that is empty. What vanishes meanwhile is left out. Blocks.

    Raises Unavailable `disk-full`, Conflict `no-permission` for what a job let nobody read.
    """
    store.check_space(measure(store, source_id).size)
    with (
        store.opened(source_id) as source,
        store.opened(into_id) as into,
        safe_paths.Directories(source, create=False) as origins,
        safe_paths.Directories(into, create=True, owner=store.owner) as directories,
        _flushed() as written,
    ):
        for entry in walk(source, ""):
            with disk_errors(entry.path):
                parent, _, name = entry.path.rpartition("/")
                if entry.kind == "directory":
                    directories.get(entry.path)
                elif entry.kind == "link":
                    _link(store, entry, directories.get(parent), name)
                elif entry.kind == "file":
                    _copy(store, origins, directories, entry.path, written)


def _link(store: FolderStore, entry: Entry, within: int, name: str) -> None:
    if entry.target is None or not stays_inside(entry.path, entry.target):
        return
    os.symlink(entry.target, name, dir_fd=within)
    uid, gid = store.owner.uid, store.owner.gid
    if uid is not None or gid is not None:
        os.chown(name, -1 if uid is None else uid, -1 if gid is None else gid, dir_fd=within, follow_symlinks=False)


def _copy(
    store: FolderStore,
    origins: safe_paths.Directories,
    directories: safe_paths.Directories,
    path: str,
    written: list[int],
) -> None:
    parent, _, name = path.rpartition("/")
    try:
        origin = safe_paths.open_regular(origins.get(parent), name)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return  # it is gone, or has become something else
    try:
        info = os.fstat(origin)
        fd = os.open(name, _new, 0o600, dir_fd=directories.get(parent))
        written.append(fd)
        _fill(origin, fd)
        os.fchmod(fd, 0o755 if info.st_mode & 0o100 else 0o644)
        store.owner.give(fd)
        os.utime(fd, ns=(info.st_atime_ns, info.st_mtime_ns))
    finally:
        os.close(origin)


def _fill(origin: int, into: int) -> None:
    """Shared extents, or the bytes as the kernel copies them."""
    try:
        fcntl.ioctl(into, FICLONE, origin)
        return
    except OSError:
        pass  # the file system shares none; what else is wrong, copying meets again
    while os.sendfile(into, origin, None, PIECE):
        pass


@contextmanager
def _flushed() -> Iterator[list[int]]:
    """A list for open files, which are brought to the disk and closed, GROUP at a time and at the end."""
    files = _Files()
    try:
        yield files
        flush_files(files)
    finally:
        files.close()


class _Files(list[int]):
    def append(self, fd: int) -> None:
        if len(self) >= GROUP:
            flush_files(self)
            self.close()
        super().append(fd)

    def close(self) -> None:
        while self:
            os.close(self.pop())
