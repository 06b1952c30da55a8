"""Versions of files as a tree on the disk: by links to the stored contents, by shared extents, or by copies.

A link makes a file of the tree and the stored content one: it is for trees that are only ever mounted read-only, where
nobody can write or change rights. Shared extents (reflinks) are copies that take no room; where the file system has
none, bytes are copied, and each content is verified on the way.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from blake3 import blake3

from dais.data import safe_paths
from dais.data.blobs import BlobStore
from dais.data.durable import flush_files, write_all
from dais.data.hashing import PREFIX
from dais.data.lake.types import LakeFile
from dais.data.types import Owner

PIECE = 1 << 20
GROUP = 64
"""Files that are flushed side by side."""
_FICLONE = 0x40049409
_new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_NO_REFLINKS = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EBADF)
# ENOENT: it is kept as chunks, or in a bucket, of which only some blobs have a copy here; or the copy has just gone.
_NO_LINK = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EACCES, errno.ENOENT, errno.EOPNOTSUPP)

Tell = Callable[[int], None]
"""Is told of bytes that are there now."""


class TreeWriter:
    """Writes versions of files below a directory that is there. For one thread.

    `links`: contents may be linked; else the files belong to `owner`. Files can only be read, by everybody, unless
    `writable`. What is copied among links is flushed: such a tree outlives a crash of the machine, and is used again.
    """

    def __init__(
        self, blobs: BlobStore, *, links: bool, owner: Owner = safe_paths.NOBODY, writable: bool = False
    ) -> None:
        self._blobs = blobs
        self._links = links
        self._reflinks = True
        self._owner = owner
        self._mode = 0o644 if writable else 0o444
        self._unflushed: list[int] = []

    def write(self, directory: Path, files: Iterable[LakeFile], tell: Tell) -> None:
        """Write the files at their paths. Raises FileExistsError, OSError, NotFound `no-such-blob`, Unavailable."""
        with (
            safe_paths.opened(directory) as root,
            safe_paths.Directories(root, create=True, owner=self._owner) as directories,
        ):
            try:
                for file in files:
                    parent, _, name = file.path[1:].rpartition("/")
                    within = directories.get(parent)
                    if not self._linked(file, within, name):
                        self._copied(file, within, name, tell)
                    else:
                        tell(file.size)
                    if len(self._unflushed) >= GROUP:
                        self._flush()
                self._flush()
            finally:
                self._close()

    def _linked(self, file: LakeFile, within: int, name: str) -> bool:
        if not self._links or file.executable:
            return False
        try:
            os.link(self._blobs.path(file.digest), name, dst_dir_fd=within, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            return False
        if not self._blobs.flushed:
            self._unflushed.append(os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=within))
        return True

    def _copied(self, file: LakeFile, within: int, name: str, tell: Tell) -> None:
        fd = os.open(name, _new, 0o400, dir_fd=within)
        try:
            if self._reflinks and self._cloned(file, fd):
                tell(file.size)
            else:
                self._copy(file, fd, tell)
            os.fchmod(fd, self._mode | 0o111 if file.executable else self._mode)
            self._owner.give(fd)
            if self._links:
                self._unflushed.append(os.dup(fd))
        finally:
            os.close(fd)

    def _flush(self) -> None:
        flush_files(self._unflushed)
        self._close()

    def _close(self) -> None:
        for fd in self._unflushed:
            os.close(fd)
        self._unflushed.clear()

    def _cloned(self, file: LakeFile, into: int) -> bool:
        """Share the content's extents, where the file system does that and it is not kept in chunks."""
        try:
            with self._blobs.path(file.digest).open("rb", buffering=0) as blob:
                fcntl.ioctl(into, _FICLONE, blob.fileno())
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno not in _NO_REFLINKS:
                raise
            self._reflinks = False
            return False
        return os.fstat(into).st_size == file.size

    def _copy(self, file: LakeFile, into: int, tell: Tell) -> None:
        hasher, at = blake3(), 0
        with self._blobs.open(file.digest) as content:
            while piece := content.read(PIECE):
                hasher.update(piece)
                write_all(into, piece, at)
                at += len(piece)
                tell(len(piece))
        if PREFIX + str(hasher.hexdigest()) != file.digest:
            raise self._blobs.discard_damaged(file.digest)
