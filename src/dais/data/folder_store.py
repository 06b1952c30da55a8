"""Where folders are on the disk: one directory for each, named by its id.

Beside them lie `.partial` (what is being uploaded, on the same file system, out of every job's reach) and `.trash`
(what was removed by one rename and is deleted at leisure).
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dais.data import safe_paths
from dais.data.blobs import free_space
from dais.data.errors import disk_errors, disk_reserved
from dais.data.hashing import DigestCache
from dais.data.pieces import Pieces
from dais.data.types import Owner
from dais.kit.errors import Invalid, NotFound
from dais.kit.ids import is_id, new_id
from dais.wire.paths import clean_path, shown

log = logging.getLogger(__name__)

ORPHAN_SECONDS = 3600.0
"""A directory without a row is left alone for so long: its row may be about to be written."""


class FolderStore:
    """Directories below `root`. Files made here belong to `owner`: `uid` and `gid` (None: to whoever runs the server).

    Every method blocks; all may be used by several threads. `reserve` bytes of the disk are never given to uploads.
    """

    def __init__(self, root: Path, *, uid: int | None = None, gid: int | None = None, reserve: int = 0) -> None:
        self.root = root
        self.owner = Owner(uid, gid)
        self.digests = DigestCache()
        self.pieces = Pieces(self.check_space)
        self._reserve = reserve
        self._partial = root / ".partial"
        self._trash = root / ".trash"
        self._emptying = threading.Lock()
        with disk_errors(str(root)):
            for directory in (self._partial, self._trash):
                directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def create(self, folder_id: str) -> None:
        """Make an empty folder. Raises Unavailable `disk-full`."""
        with disk_errors(folder_id), safe_paths.opened(self.root) as root:
            os.mkdir(folder_id, 0o755, dir_fd=root)
            with safe_paths.directory(root, folder_id) as fd:
                os.fchmod(fd, 0o755)
                self.owner.give(fd)
            os.fsync(root)

    @contextmanager
    def opened(self, folder_id: str) -> Iterator[int]:
        """The folder's own directory, opened. Raises NotFound `folder-lost` when the disk has it no more."""
        assert is_id(folder_id), folder_id
        try:
            fd = os.open(self.root / folder_id, safe_paths.DIRECTORY)
        except FileNotFoundError as error:
            raise NotFound(
                f"the files of folder {folder_id} are not on this server's disk; restore them from a backup",
                code="folder-lost",
                folder=folder_id,
            ) from error
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def aside(self, folder_id: str) -> Iterator[int]:
        """The directory for this folder's unfinished uploads, opened; made when it is missing."""
        with disk_errors(folder_id), safe_paths.opened(self._partial) as partial:
            fd = safe_paths.open_directory(partial, folder_id, create=True)
        try:
            yield fd
        finally:
            os.close(fd)

    def host_path(self, folder_id: str, subpath: str = "") -> Path:
        """The directory of the host to mount for a path in a folder; the path has no links in it.

        A job may still put a link there afterwards: who opens it must refuse links in every part of it (openat2 with
        RESOLVE_NO_SYMLINKS). Raises Invalid `path-outside` or `no-such-directory`.
        """
        with disk_errors(subpath):
            subpath = clean_path(subpath)
        with self.opened(folder_id) as root:
            try:
                with safe_paths.directory(root, subpath):
                    pass
            except OSError as error:
                raise Invalid(
                    f"the folder has no directory {shown(subpath)} to mount ({os.strerror(error.errno or 0).lower()}; "
                    "links are not followed); make it first, or mount the whole folder",
                    code="no-such-directory",
                    path=subpath[:200],
                ) from error
        return self.root.resolve() / folder_id / subpath

    def discard(self, folder_id: str) -> None:
        """Take a removed folder off the disk. Doing it twice is the same as once."""
        with suppress(FileNotFoundError):
            (self.root / folder_id).rename(self._trash / new_id())
        with suppress(FileNotFoundError):
            (self._partial / folder_id).rename(self._trash / new_id())
        self.empty_trash()

    def throw_away(self, directory_fd: int, name: str) -> None:
        """Remove a file, or a directory with all in it, by one rename. Raises OSError."""
        with safe_paths.opened(self._trash) as trash:
            os.rename(name, new_id(), src_dir_fd=directory_fd, dst_dir_fd=trash)

    def empty_trash(self) -> threading.Thread:
        """Delete, in a thread of its own, what was thrown away."""
        thread = threading.Thread(target=self._empty_trash, name="dais-trash", daemon=True)
        thread.start()
        return thread

    def sweep(self, existing: Collection[str], *, unfinished_seconds: float, now: float | None = None) -> None:
        """Remove what crashes left: directories without a row, and uploads that nobody has gone on with."""
        now = time.time() if now is None else now
        for entry in list(os.scandir(self.root)):
            if is_id(entry.name) and entry.name not in existing:
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_ctime < now - ORPHAN_SECONDS:
                        log.info("removing the directory of folder %s, which does not exist any more", entry.name)
                        self.discard(entry.name)
        for folder in list(os.scandir(self._partial)):
            for entry in list(os.scandir(folder.path)):
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < now - unfinished_seconds:
                        Path(entry.path).unlink()
        self._empty_trash()

    def check_space(self, wanted: int) -> None:
        """Raises Unavailable `disk-full` when so many bytes more would leave less than the reserve."""
        free = free_space(self.root)
        if free < wanted + self._reserve:
            raise disk_reserved(free, wanted, self._reserve)

    def _empty_trash(self) -> None:
        with self._emptying:
            for entry in list(os.scandir(self._trash)):
                try:
                    _delete(Path(entry.path))
                except OSError as error:
                    log.warning("what was removed cannot be deleted yet: %s", error)


def _delete(path: Path) -> None:
    """Remove a tree, also where a job took its own rights away. No link is followed."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        for parent, _, _ in os.walk(path):
            with safe_paths.opened(parent) as fd:
                os.fchmod(fd, 0o700)
        shutil.rmtree(path)
