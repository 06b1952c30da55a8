"""One tree on the disk for each version of a file set that jobs read, shared by all of them and only ever mounted
read-only: so its files may be links to the blobs. It is kept for a while after the last job that read it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from sqlalchemy import select

from dais.compute.jobs.tables import job_inputs, jobs
from dais.data import BlobStore, LakeFile, TreeWriter
from dais.kit.database import Statement, UnitOfWork, in_list
from dais.kit.ids import is_id, new_id

SETS = "sets"
"""Where they are in the data directory."""

KEPT_SECONDS = 3600.0
"""How long a tree that no job needs is kept for the next."""

DAY = 24 * 3600.0

_needed = Statement(
    select(job_inputs.c.set_version_id)
    .select_from(job_inputs.join(jobs, jobs.c.id == job_inputs.c.job_id))
    .where(in_list(job_inputs.c.set_version_id, "ids"), jobs.c.ended_at.is_(None))
    .distinct()
)


def trees_in_use(uow: UnitOfWork, ids: Sequence[str]) -> set[str]:
    """Those of these versions that a job reads which has not ended."""
    return {row.set_version_id for row in uow.all(_needed, ids=list(ids))}


class Trees:
    """The trees below a directory. For several threads and processes."""

    def __init__(self, root: Path, blobs: BlobStore) -> None:
        self._root = root
        self._blobs = blobs
        self._making: dict[str, threading.Lock] = {}

    def path(self, set_version_id: str) -> Path:
        """Where the tree of a version is, or would be."""
        return self._root / set_version_id

    def ensure(self, set_version_id: str, files: Sequence[LakeFile], tell: Callable[[int], None]) -> Path:
        """The tree of a version of a set, made unless it is there. Blocks. Raises OSError, NotFound, Unavailable."""
        tree = self.path(set_version_id)
        making = self._making.setdefault(set_version_id, threading.Lock())
        with making:
            with self._alone(), contextlib.suppress(FileNotFoundError):
                os.utime(tree)
                tell(sum(file.size for file in files))
                return tree
            fresh = self._root / f".{new_id()}"
            fresh.mkdir(parents=True, mode=0o755)
            try:
                TreeWriter(self._blobs, links=True).write(fresh, files, tell)
                self._place(fresh, tree)
            except BaseException:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
        return tree

    def _place(self, fresh: Path, tree: Path) -> None:
        """Give a whole tree its name, unless another group was quicker."""
        try:
            fresh.rename(tree)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(fresh, ignore_errors=True)

    def idle(self, *, now: float | None = None) -> list[str]:
        """Versions whose tree was not asked for lately."""
        before = (time.time() if now is None else now) - KEPT_SECONDS
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._root) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if is_id(entry.name) and entry.stat().st_mtime < before:
                        found.append(entry.name)
        return found

    def remove(self, ids: Collection[str], *, now: float | None = None, dry_run: bool = False) -> int:
        """Remove trees, but those that were asked for meanwhile; the bytes that only they held. Blocks."""
        before = (time.time() if now is None else now) - KEPT_SECONDS
        freed = 0
        for set_version_id in ids:
            tree, gone = self.path(set_version_id), self._root / f".{new_id()}"
            with contextlib.suppress(FileNotFoundError):
                if dry_run:
                    freed += _own_bytes(tree)
                    continue
                with self._alone():
                    if tree.stat().st_mtime >= before:
                        continue
                    tree.rename(gone)
                self._making.pop(set_version_id, None)
                freed += _own_bytes(gone)
                shutil.rmtree(gone, ignore_errors=True)
        return freed

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody takes a tree for a job while it is removed, in whatever process."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o755)
        fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def sweep(self, *, now: float | None = None) -> None:
        """Remove what a crash left half made or half removed a day ago."""
        before = (time.time() if now is None else now) - DAY
        with contextlib.suppress(FileNotFoundError):
            for entry in self._root.iterdir():
                if entry.name.startswith(".") and entry.stat().st_mtime < before:
                    shutil.rmtree(entry, ignore_errors=True)


def _own_bytes(tree: Path) -> int:
    """Bytes of the files that nothing else is a link to: copies."""
    size = 0
    for parent, _, names in os.walk(tree):
        for name in names:
            info = os.lstat(os.path.join(parent, name))  # noqa: PTH118  ten thousand at a time
            if info.st_nlink == 1:
                size += info.st_size
    return size
