"""What a snapshot says about itself, and finding snapshots in a backup directory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from dais.data.hashing import digest_of_fd
from dais.kit.errors import Conflict, NotFound, Unavailable

FORMAT = 1
MANIFEST, INDEX, DATABASE = "manifest.json", "files.jsonl", "dais.db"
_name = re.compile(r"\d{8}T\d{6}Z(-\d+)?", re.ASCII)


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file (f), directory (d) or link (l) below the data directory. `path` and `target` are percent-encoded bytes.

    `stamp` is what changes with the content: inode and change time (ns); empty when it may have changed unseen.
    """

    path: str
    kind: Literal["f", "d", "l"]
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0
    digest: str = ""
    target: str = ""
    stamp: tuple[int, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A whole snapshot. `secrets`: it holds the installation's key, or tokens in clear. `notes` are for people."""

    format: int
    version: str
    schema: str
    created_at: str
    source: str
    database: str
    database_size: int
    database_digest: str
    index_digest: str
    files: int
    bytes: int
    secrets: list[str] = []
    notes: list[str] = []


@dataclass(frozen=True)
class Snapshot:
    """A snapshot whose manifest is there."""

    directory: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.directory.name

    def entries(self) -> Iterator[Entry]:
        """Every file of it. Raises Unavailable `backup-damaged`."""
        path = self.directory / INDEX
        try:
            with path.open("rb") as file:
                if digest_of_fd(file.fileno()) != self.manifest.index_digest:
                    raise damaged(path)
                for line in file:
                    yield _decode(line)
        except FileNotFoundError as error:
            raise damaged(path) from error


_decode = msgspec.json.Decoder(Entry).decode


def damaged(path: Path) -> Unavailable:
    return Unavailable(
        f"{path} is damaged or missing: its content is not what the manifest says; use another snapshot (--at)",
        code="backup-damaged",
        path=str(path),
    )


def snapshots(destination: Path) -> list[Snapshot]:
    """The whole snapshots of a backup directory, oldest first. Raises Unavailable `backup-damaged`, Conflict."""
    found = []
    for directory in snapshot_directories(destination):
        try:
            text = (directory / MANIFEST).read_bytes()
        except FileNotFoundError:
            continue
        try:
            head = msgspec.json.decode(text)
            if isinstance(head, dict) and isinstance(head.get("format"), int) and head["format"] > FORMAT:
                raise Conflict(
                    f"{directory} was written by a newer Dais ({head.get('version')}); use that version",
                    code="backup-newer",
                )
            found.append(Snapshot(directory, msgspec.convert(head, Manifest)))
        except msgspec.MsgspecError as error:
            raise damaged(directory / MANIFEST) from error
    return found


def snapshot_directories(destination: Path) -> list[Path]:
    """Every directory of a snapshot, also of one that was interrupted, oldest first."""
    try:
        entries = sorted((destination / "snapshots").iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [path for path in entries if _name.fullmatch(path.name)]


def choose(destination: Path, name: str | None) -> Snapshot:
    """The snapshot of this name, else the newest. Raises NotFound `no-such-backup`, naming what there is."""
    there = snapshots(destination)
    if name is None and there:
        return there[-1]
    for snapshot in there:
        if snapshot.name == name:
            return snapshot
    interrupted = len(snapshot_directories(destination)) - len(there)
    listed = ", ".join(snapshot.name for snapshot in there[-10:]) or "none"
    tail = f"; {interrupted} was interrupted and is no backup" if interrupted else ""
    wanted = f"no snapshot {name}" if name else "no whole snapshot"
    raise NotFound(f"there is {wanted} in {destination} (there is: {listed}{tail})", code="no-such-backup")


def encode_path(path: bytes) -> str:
    return quote_from_bytes(path, safe="/ !#$&'()*+,:;=@[]{}~^<>|?\"`")


def decode_path(path: str) -> bytes:
    return unquote_to_bytes(path)
