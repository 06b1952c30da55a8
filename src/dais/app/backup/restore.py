"""Making an installation of a snapshot: aside first, whole and checked; then by renaming, the database last."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
from blake3 import blake3

from dais.app.backup import database
from dais.app.backup.manifest import DATABASE, Entry, Snapshot, choose, damaged, decode_path
from dais.app.backup.objects import Objects
from dais.app.build import load_settings
from dais.app.schema import known_steps
from dais.compute.logs import store_saved
from dais.compute.restored import Settled, settle_restored, unshipped_runs
from dais.data import open_blobs, safe_paths
from dais.data.blobs import free_space
from dais.data.durable import write_all
from dais.data.errors import of_disk
from dais.data.hashing import CHUNK, PREFIX
from dais.kit.clock import SystemClock
from dais.kit.data_directory import LOCK_FILE, RESTORING, DirectoryLock, prepare
from dais.kit.database import open_database
from dais.kit.database.migrate import upgrade
from dais.kit.database.open import sqlite_path
from dais.kit.database.transfer import is_empty, move
from dais.kit.errors import Conflict, Unavailable
from dais.node.logs import log_directory
from dais.sdk.installation import lock_holder
from dais.sdk.progress import Meter, OnProgress

_ignored = {LOCK_FILE, RESTORING, "lost+found"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to restore and where. `at` names a snapshot (None: the newest)."""

    source: Path
    data_dir: Path
    at: str | None = None
    config: Path | None = None
    force: bool = False
    cancel_waiting: bool = False


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was restored. `replaced` is where what had been there lies now; `notes` are for people."""

    snapshot: str
    data_dir: str
    schema: str
    files: int
    bytes: int
    jobs: Settled
    replaced: str | None
    notes: list[str]


def restore(options: Options, tell: OnProgress | None = None) -> Restored:
    """Make the data directory what it was. Raises DaisError; what was there before is then untouched."""
    snapshot = choose(options.source, options.at)
    steps = known_steps()
    if snapshot.manifest.schema not in steps:
        raise Conflict(
            f"the snapshot {snapshot.name} has schema {snapshot.manifest.schema}, which this Dais does not know: "
            f"version {snapshot.manifest.version} wrote it; restore it with that version or a newer one",
            code="schema-newer",
        )
    data_dir = options.data_dir
    if not data_dir.exists():
        prepare(data_dir)
    with _lock(data_dir):
        prepare(data_dir)  # not before: the directory of a server that runs may be laid out for its user
        old = _what_is_there(data_dir, options.force)
        aside = data_dir / RESTORING
        if aside.exists():
            shutil.rmtree(aside)
        _check_space(snapshot, data_dir)
        try:
            aside.mkdir(mode=0o700)
            run = _Run(snapshot, aside, Meter(tell))
            run.files()
            url, settled = run.database(options)
            os.sync()
            replaced = _swap(data_dir, aside, old, url)
        except OSError as error:
            _give_up(aside)
            found = of_disk(error, str(data_dir))
            if found.code == "disk-full":
                raise Unavailable(
                    f"the disk of {data_dir} is full: the snapshot needs {snapshot.manifest.bytes:,} bytes and its "
                    "database twice its size; nothing was changed",
                    code="disk-full",
                ) from error
            raise Unavailable(
                f"the restore failed: {error.filename or ''} {error.strerror}", code="restore-failed"
            ) from error
        except BaseException:
            _give_up(aside)
            raise
    return Restored(
        snapshot=snapshot.name,
        data_dir=str(data_dir),
        schema=snapshot.manifest.schema,
        files=snapshot.manifest.files,
        bytes=snapshot.manifest.bytes,
        jobs=settled,
        replaced=str(replaced) if replaced else None,
        notes=run.notes,
    )


class _Run:
    """One snapshot being brought back into a directory."""

    def __init__(self, snapshot: Snapshot, root: Path, meter: Meter) -> None:
        self._snapshot = snapshot
        self._root = root
        self._meter = meter
        self._objects = Objects(snapshot.directory.parent.parent / "objects")
        self._closed: list[Entry] = []
        self.notes = list[str]()

    def files(self) -> None:
        """Bring back every file, checked on the way. Raises Unavailable `backup-damaged`, OSError."""
        self._meter.expect(self._snapshot.manifest.files, self._snapshot.manifest.bytes)
        foreign = 0
        with safe_paths.opened(self._root) as root, safe_paths.Directories(root, create=True) as directories:
            for entry in self._snapshot.entries():
                parent, _, name = _parts(entry, self._snapshot).rpartition(b"/")
                within = directories.get(os.fsdecode(parent))
                if entry.kind == "d":
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=within)
                    self._closed.append(entry)
                elif entry.kind == "l":
                    os.symlink(decode_path(entry.target), name, dir_fd=within)
                    if os.geteuid() == 0:
                        os.chown(name, entry.uid, entry.gid, dir_fd=within, follow_symlinks=False)
                else:
                    self._file(within, name, entry)
                foreign += entry.uid != os.geteuid()
            for entry in reversed(self._closed):  # the rights of a directory come when it is filled
                with safe_paths.directory(root, os.fsdecode(decode_path(entry.path))) as fd:
                    _dress(fd, entry)
        if foreign and os.geteuid() != 0:
            self.notes.append(f"{foreign:,} files belonged to another user and are yours now; as root they keep theirs")

    def _file(self, within: int, name: bytes, entry: Entry) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=within)
        try:
            hasher, at = blake3(), 0
            try:
                with self._objects.path(entry.digest).open("rb", buffering=0) as content:
                    while chunk := content.read(CHUNK):
                        hasher.update(chunk)
                        write_all(fd, chunk, at)
                        at += len(chunk)
            except FileNotFoundError as error:
                raise damaged(self._objects.path(entry.digest)) from error
            if PREFIX + hasher.hexdigest() != entry.digest:
                raise Unavailable(
                    f"the content of {entry.path} in the backup is damaged ({self._objects.path(entry.digest)}); "
                    "nothing was changed. Restore another snapshot (--at); `dais backup DEST --verify` tells more",
                    code="backup-damaged",
                    path=entry.path,
                )
            _dress(fd, entry)
        finally:
            os.close(fd)
        self._meter.moved(1, at)

    def database(self, options: Options) -> tuple[str, Settled]:
        """The database at this version's schema, settled; its URL. Raises DaisError."""
        manifest = self._snapshot.manifest
        copy = self._root / DATABASE
        source = self._snapshot.directory / DATABASE
        with source.open("rb") as file:
            hasher = blake3()
            with copy.open("xb") as new:
                os.fchmod(new.fileno(), 0o600)
                while chunk := file.read(CHUNK):
                    hasher.update(chunk)
                    new.write(chunk)
        if PREFIX + hasher.hexdigest() != manifest.database_digest:
            raise damaged(source)
        database.check(copy)
        aside = f"sqlite:///{copy}"
        upgrade(aside)
        url = _url(options, self._root)
        if url.startswith("postgres") and not is_empty(url):
            raise Conflict(
                "the PostgreSQL database of the settings is not empty; empty it (dropdb, createdb), name another with "
                "DAIS_DATABASE_URL, or restore to a file: DAIS_DATABASE_URL=sqlite:///"
                + str(options.data_dir / DATABASE),
                code="target-not-empty",
            )
        settled = self._settle(aside, options)
        if url.startswith("postgres"):
            upgrade(url)
            move(aside, url)
            database.remove_sqlite(copy)
        return url, settled

    def _settle(self, url: str, options: Options) -> Settled:
        opened = open_database(url, SystemClock())
        try:
            node = str(self._root / "node")
            blobs = open_blobs(self._root, load_settings(self._root, options.config)["store"])
            logs = {run: store_saved(log_directory(node, run), blobs) for run in opened.read_sync(unshipped_runs)}
            detail = f"it was running when the backup of {self._snapshot.manifest.created_at} was made"
            found: Settled = opened.write_sync(settle_restored, logs, detail, cancel_waiting=options.cancel_waiting)
        finally:
            opened.close()
        shutil.rmtree(self._root / "node", ignore_errors=True)
        return found


@contextmanager
def _lock(data_dir: Path) -> Iterator[None]:
    try:
        with DirectoryLock(data_dir):
            yield
    except Conflict as error:
        if error.code != "already-running":
            raise
        raise Conflict(
            f"Dais runs on {data_dir} (pid {error.fields.get('pid') or 'unknown'}): stop it first (`dais down "
            "--kill-jobs`), or restore beside it, into another --data-dir",
            code=error.code,
        ) from error


def _what_is_there(data_dir: Path, force: bool) -> list[str]:
    """The names that have to go. Raises Conflict `not-empty`, `jobs-running`."""
    there = sorted(path.name for path in data_dir.iterdir())
    names = [name for name in there if name not in _ignored and not name.startswith("replaced-")]
    if names and not force:
        raise Conflict(
            f"{data_dir} is not empty ({', '.join(names[:5])}); restore into another --data-dir, or with --force, "
            "which moves what is there into a directory replaced-… within it",
            code="not-empty",
        )
    if lock_holder(data_dir / "node" / "supervisor.lock") is not None:
        raise Conflict(
            f"jobs of the installation in {data_dir} still run: `dais up`, then `dais down --kill-jobs`",
            code="jobs-running",
        )
    return names


def _check_space(snapshot: Snapshot, data_dir: Path) -> None:
    wanted = snapshot.manifest.bytes + 2 * snapshot.manifest.database_size
    free = free_space(data_dir)
    if wanted > free:
        raise Unavailable(
            f"the snapshot needs {wanted:,} bytes, and the disk of {data_dir} has {free:,}; make room, or choose "
            "another --data-dir",
            code="disk-full",
        )


def _url(options: Options, root: Path) -> str:
    """The database that a server started on the restored directory will use."""
    url: str = load_settings(root, options.config)["database"].url
    if url.startswith("sqlite") and sqlite_path(url).absolute() != options.data_dir / DATABASE:
        raise Conflict(
            f"the settings name the database {sqlite_path(url)}, outside the data directory; take that setting away, "
            "or move the file there after the restore",
            code="database-elsewhere",
        )
    return url


def _swap(data_dir: Path, aside: Path, old: list[str], url: str) -> Path | None:
    """Put what was restored into its place, the database last: without it there is no installation."""
    replaced = None
    if old:
        replaced = data_dir / time.strftime("replaced-%Y%m%dT%H%M%SZ", time.gmtime())
        replaced.mkdir(mode=0o700)
        for name in old:
            (data_dir / name).rename(replaced / name)
    for name in sorted((path.name for path in aside.iterdir()), key=lambda name: (name == DATABASE, name)):
        (aside / name).rename(data_dir / name)
    with safe_paths.opened(data_dir) as fd:
        os.fsync(fd)
    aside.rmdir()
    return replaced


def _give_up(aside: Path) -> None:
    shutil.rmtree(aside, ignore_errors=True)


def _parts(entry: Entry, snapshot: Snapshot) -> bytes:
    path = decode_path(entry.path)
    if path.startswith(b"/") or b"\0" in path or any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise damaged(snapshot.directory)
    return path


def _dress(fd: int, entry: Entry) -> None:
    """Owner, rights and time."""
    if os.geteuid() == 0:
        os.fchown(fd, entry.uid, entry.gid)
    os.fchmod(fd, entry.mode & 0o7777)
    os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))
