"""Reading a whole backup again, to see whether it could be restored."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from dais.app.backup import database
from dais.app.backup.make import locked
from dais.app.backup.manifest import DATABASE, Snapshot, choose, snapshot_directories, snapshots
from dais.app.backup.objects import Objects
from dais.data.hashing import digest_of_fd
from dais.kit.errors import DaisError
from dais.sdk.progress import Meter, OnProgress


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `damaged` tells in words what cannot be restored; `interrupted` snapshots are no backups."""

    snapshots: list[str]
    interrupted: list[str]
    contents: int
    bytes: int
    damaged: list[str]


def verify(destination: Path, at: str | None = None, tell: OnProgress | None = None) -> Verified:
    """Check every content of the snapshots (or of one) against its digest.

    A content that is damaged is set aside, so that the next backup stores it again, if the installation still has it.
    Raises NotFound `no-such-backup`.
    """
    chosen = choose(destination, at)
    with locked(destination):
        checked = [chosen] if at is not None else snapshots(destination)
        whole = {snapshot.name for snapshot in snapshots(destination)}
        wanted, broken = _contents(checked)
        objects = Objects(destination / "objects")
        meter = Meter(tell)
        meter.expect(len(wanted), sum(size for size, _ in wanted.values()))
        for digest, (size, path) in wanted.items():
            if not _is_sound(objects.path(digest), digest):
                if objects.path(digest).exists():
                    objects.discard_damaged(digest)
                broken.append(f"{path}: its content {digest} is damaged or missing")
            meter.moved(1, size)
    return Verified(
        snapshots=[snapshot.name for snapshot in checked],
        interrupted=[path.name for path in snapshot_directories(destination) if path.name not in whole],
        contents=len(wanted),
        bytes=sum(size for size, _ in wanted.values()),
        damaged=broken,
    )


def _contents(checked: list[Snapshot]) -> tuple[dict[str, tuple[int, str]], list[str]]:
    """Every content that the snapshots need, with a path that names it; and what of themselves is damaged."""
    wanted: dict[str, tuple[int, str]] = {}
    broken = []
    for snapshot in checked:
        try:
            for entry in snapshot.entries():
                if entry.digest:
                    wanted.setdefault(entry.digest, (entry.size, f"{snapshot.name}: {entry.path}"))
        except (DaisError, msgspec.MsgspecError) as error:
            broken.append(f"{snapshot.name}: {error}")
        file = snapshot.directory / DATABASE
        if not _is_sound(file, snapshot.manifest.database_digest):
            broken.append(f"{snapshot.name}: the copy of the database, {file}, is damaged or missing")
        else:
            database.check(file)
    return wanted, broken


def _is_sound(path: Path, digest: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return digest_of_fd(fd) == digest
    except OSError:
        return False  # the disk cannot read it
    finally:
        os.close(fd)
