"""Digests of local files that have not changed since they were read last, kept in the user's cache directory.

A directory is one row, so that ten thousand files are found as quickly as they lie together.

A file is known by its place, device, inode, size and times (also that of its inode, which nobody sets). One that was
written in the last two seconds is not remembered: on file systems with coarse times another write could leave all of
that as it was. Where the cache cannot be opened or written, files are read again; nothing else rests on it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from dais.sdk.local_files import Stamp
from dais.sdk.own_directory import own_directory

FRESH_NS = 2_000_000_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS directories (
    place TEXT PRIMARY KEY, files INTEGER NOT NULL, known BLOB NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID
"""
MOST = 2_000_000
"""Files that are remembered; above it the directories that were written longest ago are forgotten."""

STALE = 10_000
"""Names that a directory may have beside those that were put last, which may be gone."""


class _Seen(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A file as it was when it was read."""

    stamp: Stamp
    digest: str


_Known = dict[str, _Seen]
_decode = msgspec.msgpack.Decoder(_Known).decode


def cache_path() -> Path:
    """DAIS_CACHE_DIR, else the platform's cache directory for "dais"; in it `digests.db`."""
    if named := os.environ.get("DAIS_CACHE_DIR"):
        return Path(named).expanduser() / "digests.db"
    return own_directory("cache") / "digests.db"


class DigestCache:
    """The cache of this user. Every method blocks, opens the file anew and never fails."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_path()

    def known(self, files: Mapping[str, Stamp]) -> dict[str, str]:
        """The digests of those that are known with these stamps, by place."""
        found: dict[str, str] = {}
        if not files:
            return found
        try:
            with closing(self._open()) as database:
                for directory, places in _by_directory(files).items():
                    known = _read(database, directory)
                    before = len(directory) + 1
                    for place in places:
                        seen = known.get(place[before:])
                        if seen is not None and seen.stamp == files[place]:
                            found[place] = seen.digest
        except (sqlite3.Error, OSError, UnicodeEncodeError):
            return found
        return found

    def put(self, files: Iterable[tuple[str, Stamp, str]]) -> None:
        """Remember digests: place, stamp, digest."""
        now = time.time_ns()
        fresh = {place: _Seen(stamp, digest) for place, stamp, digest in files if now - max(stamp[3:]) > FRESH_NS}
        if not fresh:
            return
        try:
            with closing(self._open()) as database, database:
                database.execute("BEGIN IMMEDIATE")
                for directory, places in _by_directory(fresh).items():
                    new: _Known = {place[len(directory) + 1 :]: fresh[place] for place in places}
                    known = _read(database, directory)
                    if len(known) <= len(new) + STALE:
                        new = known | new
                    row = (directory, len(new), msgspec.msgpack.encode(new), now // 1_000_000_000)
                    database.execute("INSERT OR REPLACE INTO directories VALUES (?, ?, ?, ?)", row)
                _forget(database)
        except (sqlite3.Error, OSError, UnicodeEncodeError):
            return

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=1.0)
        try:
            database.execute(_SCHEMA)
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database


def _by_directory(places: Iterable[str]) -> dict[str, list[str]]:
    """Places by the directories that they lie in; few objects, for ten thousand of them."""
    found: dict[str, list[str]] = {}
    for place in places:
        found.setdefault(place[: place.rfind("/")], []).append(place)
    return found


def _read(database: sqlite3.Connection, directory: str) -> _Known:
    row = database.execute("SELECT known FROM directories WHERE place = ?", (directory,)).fetchone()
    try:
        return _decode(row[0]) if row is not None else {}
    except msgspec.DecodeError:
        return {}


def _forget(database: sqlite3.Connection) -> None:
    """Of more files than are remembered, half; the directories that were written longest ago."""
    (count,) = database.execute("SELECT coalesce(sum(files), 0) FROM directories").fetchone()
    if count <= MOST:
        return
    for place, files in database.execute("SELECT place, files FROM directories ORDER BY used").fetchall():
        database.execute("DELETE FROM directories WHERE place = ?", (place,))
        count -= files
        if count <= MOST // 2:
            return
