"""How much disk the working directories of running jobs take, looked at now and then; who takes too much is ended.

A file system that counts by project would refuse the write itself, but hardly any is set up for that. So a job can go
over the limit by what it writes between two looks, and what it has opened and removed is not seen: for that there is
`free_disk`, below which no further job is started.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import bindparam, select

from dais.compute.jobs.runs import cancel, run_rows
from dais.compute.jobs.tables import runs
from dais.compute.loops.group import Group
from dais.compute.loops.spares import WORK
from dais.kit.database import Statement, UnitOfWork
from dais.wire.units import short_size

log = logging.getLogger(__name__)

REASON = "disk-limit"
LOOK_SECONDS = 5.0
"""Seconds between two rounds; a run whose look took long is looked at more rarely."""
SHARE = 20
"""At most one part in so many of the time goes into looking at one run."""
DEEPEST = 200
"""Levels of directories that can be looked at; deeper ones are nothing that a job needs."""

_running = Statement(select(runs.c.id).where(runs.c.group_name == bindparam("group"), runs.c.state == "RUNNING"))


@dataclass(slots=True)
class Use:
    """What lies below a directory: bytes on the disk, and files. `deep`: there is more, too far below to be seen."""

    bytes: int = 0
    files: int = 0
    deep: bool = False


class DiskUse:
    """One worker for a group. Where the limit is 0 it does nothing."""

    def __init__(self, group: Group, pause: float = LOOK_SECONDS) -> None:
        self._group = group
        self._pause = pause
        self._next: dict[str, float] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        while self._group.settings.work_limit:
            try:
                await self.look()
            except Exception:
                log.exception("how much disk jobs take could not be looked at")
            await asyncio.sleep(self._pause)

    async def look(self) -> None:
        """Look at every run whose turn it is."""
        running: list[str] = await self._group.db.read(_running_runs, self._group.name)
        self._next = {run_id: self._next.get(run_id, 0.0) for run_id in running}
        for run_id in running:
            begun = time.monotonic()
            if begun < self._next[run_id]:
                continue
            directory = self._group.run_directory(run_id) / WORK
            use = await asyncio.to_thread(measure, directory, self._group.settings.work_limit)
            self._next[run_id] = begun + (time.monotonic() - begun) * SHARE
            detail = _too_much(use, self._group.settings.work_limit)
            if detail is not None:
                await self._group.db.write(end_for_disk, run_id, detail)


def end_for_disk(uow: UnitOfWork, run_id: str, detail: str) -> None:
    """Let a job end whose latest run takes too much disk, unless that run has ended meanwhile."""
    row = run_rows(uow, [run_id]).get(run_id)
    if row is not None and row.idx == row.run_index and row.job_state == "RUNNING":
        cancel(uow, row.job_id, REASON, detail)


def measure(directory: Path, most: int) -> Use:
    """What lies below a directory, until it is more than `most` bytes. Blocking; follows no link, leaves no device.

    Files with several names count once, holes not at all. What a job has closed to its own user is opened for reading.
    """
    use = Use()
    try:
        root = _open(str(directory), None)
    except OSError:  # it has none, or not any more
        return use
    _Walk(use, most, os.fstat(root).st_dev).into(root, 0)
    return use


def _running_runs(uow: UnitOfWork, group: str) -> list[str]:
    return [row.id for row in uow.all(_running, group=group)]


def _too_much(use: Use, limit: int) -> str | None:
    if use.bytes > limit:
        return (
            f"its working directory took {short_size(use.bytes)} of disk and more, and at most {short_size(limit)} is "
            "allowed (DAIS_COMPUTE_WORK_LIMIT); keep large files in a folder"
        )
    if use.deep:
        return f"its working directory is nested more than {DEEPEST} levels deep, which cannot be measured"
    return None


@dataclass(slots=True)
class _Walk:
    use: Use
    most: int
    device: int
    seen: set[int] = field(default_factory=set)

    def into(self, fd: int, level: int) -> None:
        """Count what is in an open directory, and close it."""
        inner: list[str] = []
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if self.use.bytes > self.most:
                        return
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:  # gone again
                        continue
                    self._count(status)
                    if stat.S_ISDIR(status.st_mode) and status.st_dev == self.device:
                        inner.append(entry.name)
            if inner and level == DEEPEST:
                self.use.deep = True
                return
            for name in inner:
                try:
                    below = _open(name, fd)
                except OSError:
                    continue
                self.into(below, level + 1)
        finally:
            os.close(fd)

    def _count(self, status: os.stat_result) -> None:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_ino in self.seen:
                return
            self.seen.add(status.st_ino)
        self.use.files += 1
        self.use.bytes += status.st_blocks * 512


def _open(name: str, above: int | None) -> int:
    """A directory, also one that its owner, who we are, has closed. Raises OSError."""
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=above)
    except PermissionError:
        held = os.open(name, flags | os.O_PATH, dir_fd=above)
        try:
            place = f"/proc/self/fd/{held}"
            os.chmod(place, stat.S_IMODE(os.stat(place).st_mode) | 0o500)  # noqa: PTH101, PTH116 (no path, but a descriptor)
            return os.open(place, os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(held)
