"""Making a snapshot of an installation, whether it runs or not.

First the database, on one snapshot of its own; then the files, so that nothing that it names is missing. Blobs never
change, and none is collected meanwhile. A folder's files are each as they were at one moment, not all at the same.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

import dais
from dais.app.access import TOKEN_FILE
from dais.app.authority import CERTIFICATE_FILE
from dais.app.backup import database
from dais.app.backup.manifest import (
    DATABASE,
    FORMAT,
    INDEX,
    MANIFEST,
    Entry,
    Manifest,
    Snapshot,
    encode_path,
    snapshot_directories,
    snapshots,
)
from dais.app.backup.objects import Objects
from dais.app.backup.walk import entry_of, walk
from dais.app.build import load_settings
from dais.data import safe_paths
from dais.data.durable import write_all
from dais.data.errors import of_disk
from dais.data.hashing import PREFIX, digest_of_fd
from dais.data.recipes import SUFFIX
from dais.kit.clock import SystemClock, to_rfc3339
from dais.kit.database.copying import copy_database
from dais.kit.errors import Conflict, DaisError, Invalid, NotFound, Unavailable
from dais.sdk.progress import Meter, OnProgress

RACY_NS = 2_000_000_000
"""A file that was changed so shortly before is read again next time: its times may not show another change."""

NOTES = 1_000
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to copy, and where to. `keep`: remove all but so many of the newest snapshots (None: none)."""

    data_dir: Path
    destination: Path
    config: Path | None = None
    keep: int | None = None


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot that was made. `copied` files had to be read; the other `files` had not changed."""

    name: str
    directory: str
    schema: str
    files: int
    bytes: int
    copied: int
    copied_bytes: int
    seconds: float
    removed: list[str]
    secrets: list[str]
    notes: list[str]


def backup(options: Options, tell: OnProgress | None = None) -> Made:
    """Make a snapshot. Raises DaisError, with what was copied so far left for the next one to go on with."""
    begun = time.monotonic()
    source, destination = options.data_dir, options.destination
    if not source.is_dir():
        raise NotFound(f"there is no installation in {source}; name one with --data-dir", code="no-installation")
    _check_apart(source, destination)
    loaded = load_settings(source, options.config)
    url = database.url_of(loaded, source)
    database.check_same(url, source)
    try:
        with ExitStack() as held:
            held.enter_context(_prepared(destination))
            for directory in snapshot_directories(destination):
                if not (directory / MANIFEST).exists():
                    database.remove_tree(directory)  # one that was interrupted; its contents are used again
            run = _Run(options, url, Meter(tell))
            if bucket := loaded["store"].bucket:
                run.note(f"contents (sources, logs, files) lie in the bucket {bucket}, which is not part of the backup")
            run.make()
            removed = _prune(destination, options.keep, run.objects)
    except OSError as error:
        raise _of_destination(error, destination) from error
    manifest = run.manifest
    return Made(
        name=run.directory.name,
        directory=str(run.directory),
        schema=manifest.schema,
        files=manifest.files,
        bytes=manifest.bytes,
        copied=run.copied,
        copied_bytes=run.copied_bytes,
        seconds=round(time.monotonic() - begun, 3),
        removed=removed,
        secrets=manifest.secrets,
        notes=manifest.notes,
    )


@dataclass
class _Run:
    """One snapshot being made."""

    options: Options
    url: str
    meter: Meter
    entries: dict[str, Entry] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    copied: int = 0
    copied_bytes: int = 0

    def make(self) -> None:
        options = self.options
        self.objects = Objects(options.destination / "objects")
        there = snapshots(options.destination)
        self.known = {entry.path: entry for entry in there[-1].entries() if entry.stamp} if there else {}
        self.directory = _new_directory(options.destination)
        source = options.data_dir
        self._logs()
        with _no_collection(source / "blobs"):
            schema = copy_database(self.url, self.directory / DATABASE)
            for number in range(256):
                walk(source / "blobs" / f"{number:02x}", f"blobs/{number:02x}", self._blob, self.note)
            self.objects.flush()
        self._logs()  # once more: what is longer now, or began since; what was shipped meanwhile is there from before
        walk(source / "folders", "folders", self._file, self.note, skip=(".partial", ".trash"))
        self._settings(source)
        self.objects.flush()
        self._write(schema)

    def note(self, words: str) -> None:
        if len(self.notes) < NOTES:
            self.notes.append(words)

    # -- what there is -------------------------------------------------------------------------------------

    def _logs(self) -> None:
        """The output of runs that the supervisor still keeps."""
        attempts = self.options.data_dir / "node" / "attempts"
        try:
            found = sorted(attempts.iterdir())
        except FileNotFoundError:
            return
        for attempt in found:
            walk(attempt / "log", f"node/attempts/{attempt.name}/log", self._file, self.note)
        self.objects.flush()

    def _settings(self, source: Path) -> None:
        """The configuration, and what the installation's secrets are encrypted with."""
        with safe_paths.opened(source) as fd:
            for name in sorted(path.name for path in source.iterdir()):
                secret = name.endswith(".key") or name == TOKEN_FILE
                if secret or name in ("dais.toml", CERTIFICATE_FILE):
                    info = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    self._file(fd, name, entry_of(name.encode(), info, "f"))
                    if secret:
                        self.secrets.append(name)

    def _blob(self, fd: int, name: str, entry: Entry) -> None:
        if name.endswith(SUFFIX):  # how a large content is made of blobs: a file like any other
            self._file(fd, name, entry)
            return
        digest = PREFIX + name
        entry = msgspec.structs.replace(entry, digest=digest, stamp=())
        if entry.kind != "f":
            return
        self.meter.expect(1, entry.size)
        if self.objects.holds(digest, entry.size):
            self.entries[entry.path] = entry
            self.meter.skip(1, entry.size)
            return

        def stored(found: str, size: int, changed: bool) -> None:
            self._count(size)
            if found == digest:
                self.entries[entry.path] = entry
            else:
                self.note(f"{entry.path} is damaged in the installation (its content is {found}) and was left out")

        self._store(fd, name, entry, stored)

    def _file(self, fd: int, name: str, entry: Entry) -> None:
        if entry.kind != "f":
            self.entries[entry.path] = entry
            return
        self.meter.expect(1, entry.size)
        known = self.known.get(entry.path)
        if known is not None and _same(known, entry) and self.objects.holds(known.digest, known.size):
            self.entries[entry.path] = msgspec.structs.replace(entry, digest=known.digest)
            self.meter.skip(1, entry.size)
            return
        now = time.time_ns()

        def stored(digest: str, size: int, changed: bool) -> None:
            self._count(size)
            fresh = changed or now - max(entry.mtime_ns, *entry.stamp[1:]) < RACY_NS
            stamp = () if fresh else entry.stamp
            self.entries[entry.path] = msgspec.structs.replace(entry, digest=digest, size=size, stamp=stamp)
            if changed and not entry.path.startswith("node/"):
                self.note(f"{entry.path} was written while it was copied: the copy may mix old and new")

        self._store(fd, name, entry, stored)

    def _store(self, fd: int, name: str, entry: Entry, stored: object) -> None:
        try:
            opened = safe_paths.open_regular(fd, name)
        except FileNotFoundError:
            return  # it went away meanwhile
        except OSError as error:
            self.note(f"{entry.path} could not be read: {error.strerror}")
            return
        try:
            self.objects.add(opened, stored)  # type: ignore[arg-type]
        finally:
            os.close(opened)

    def _count(self, size: int) -> None:
        self.copied += 1
        self.copied_bytes += size
        self.meter.moved(1, size)

    # -- the end -------------------------------------------------------------------------------------------

    def _write(self, schema: str) -> None:
        """The list of files, and then the manifest, which makes the snapshot whole."""
        index = self.directory / INDEX
        ordered = [self.entries[path] for path in sorted(self.entries)]
        _write_file(index, b"".join(_encoder.encode(entry) + b"\n" for entry in ordered))
        self.manifest = Manifest(
            format=FORMAT,
            version=dais.__version__,
            schema=schema,
            created_at=to_rfc3339(SystemClock().now()),
            source=encode_path(os.fsencode(self.options.data_dir)),
            database="postgresql" if self.url.startswith("postgres") else "sqlite",
            database_size=(self.directory / DATABASE).stat().st_size,
            database_digest=_digest(self.directory / DATABASE),
            index_digest=_digest(index),
            files=sum(entry.kind == "f" for entry in ordered),
            bytes=sum(entry.size for entry in ordered),
            secrets=self.secrets,
            notes=self.notes,
        )
        fresh = self.directory / f"{MANIFEST}.new"
        _write_file(fresh, msgspec.json.format(_encoder.encode(self.manifest)) + b"\n")
        _flush_directory(self.directory)
        _flush_directory(self.directory.parent)
        fresh.replace(self.directory / MANIFEST)
        _flush_directory(self.directory)


def _same(known: Entry, entry: Entry) -> bool:
    """Whether a file cannot have changed."""
    return (known.stamp, known.size, known.mtime_ns) == (entry.stamp, entry.size, entry.mtime_ns)


def _check_apart(source: Path, destination: Path) -> None:
    ours, theirs = source.resolve(), destination.resolve()
    if theirs.is_relative_to(ours) or ours.is_relative_to(theirs):
        raise Invalid(
            f"the backup {destination} and the data directory {source} lie within each other; choose a place of its "
            "own, on another disk",
            code="backup-inside",
        )


@contextmanager
def _prepared(destination: Path) -> Iterator[None]:
    """The destination, made if it is missing, and locked. Raises Invalid `not-a-backup`, Conflict `backup-running`."""
    destination.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(destination.iterdir()) and not (destination / "snapshots").is_dir():
        raise Invalid(
            f"{destination} has something in it that is no backup of Dais; name an empty or a new directory",
            code="not-a-backup",
        )
    (destination / "snapshots").mkdir(mode=0o700, exist_ok=True)
    destination.chmod(0o700)
    with locked(destination):
        yield


@contextmanager
def locked(destination: Path) -> Iterator[None]:
    """Nobody else writes in the backup directory. Raises Conflict `backup-running`."""
    fd = os.open(destination / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"another backup into {destination} is under way; wait for its end", code="backup-running"
            ) from error
        yield
    finally:
        os.close(fd)


@contextmanager
def _no_collection(blobs: Path) -> Iterator[None]:
    """While it lasts no blob is collected: the server takes the same lock for that, whole."""
    try:
        fd = os.open(blobs / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        yield
    finally:
        os.close(fd)


def _new_directory(destination: Path) -> Path:
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in range(1, 1_000):
        directory = destination / "snapshots" / (name if number == 1 else f"{name}-{number}")
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return directory
    raise Unavailable(f"too many snapshots of the second {name}", code="too-many-snapshots")


def _prune(destination: Path, keep: int | None, objects: Objects) -> list[str]:
    """Remove the oldest snapshots, and after a day what only they held."""
    if keep is None:
        return []
    there = snapshots(destination)
    old, kept = there[:-keep], there[-keep:]
    for snapshot in old:
        (snapshot.directory / MANIFEST).unlink()  # first: half a snapshot must not look whole
        database.remove_tree(snapshot.directory)
    if old:
        objects.collect(_used(kept))
    return [snapshot.name for snapshot in old]


def _used(kept: list[Snapshot]) -> set[str]:
    return {entry.digest for snapshot in kept for entry in snapshot.entries() if entry.digest}


def _write_file(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, data, 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def _flush_directory(path: Path) -> None:
    with safe_paths.opened(path) as fd:
        os.fsync(fd)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return digest_of_fd(file.fileno())


def _of_destination(error: OSError, destination: Path) -> DaisError:
    found = of_disk(error, str(destination))
    if found.code == "disk-full":
        return Unavailable(
            f"the disk of {destination} is full; the backup was not finished. What was copied stays: make room and say "
            "the same again",
            code="disk-full",
        )
    return Unavailable(f"the backup failed: {error.filename or destination}: {error.strerror}", code="backup-failed")
