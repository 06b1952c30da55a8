"""Digests of local files that have not changed since they were read last, kept in the user's cache directory.

A file is known by its place, device, inode, size and times (also that of its inode, which nobody sets). One that was
written in the last two seconds is not remembered: on file systems with coarse times another write could leave all of
that as it was. Where the cache cannot be opened or written, files are read again; nothing else rests on it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

FRESH_NS = 2_000_000_000

Stamp = tuple[int, int, int, int, int]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS digests (
    place TEXT PRIMARY KEY, device INTEGER, inode INTEGER, size INTEGER, mtime INTEGER, ctime INTEGER,
    digest TEXT NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID
"""
MOST = 2_000_000
"""Files that are remembered; above it those that were used longest ago are forgotten."""


def stamp_of(info: os.stat_result) -> Stamp:
    """What changes whenever a file's content may have changed."""
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def cache_path() -> Path:
    """DAIS_CACHE_DIR, else the platform's cache directory for "dais"; in it `digests.db`."""
    if named := os.environ.get("DAIS_CACHE_DIR"):
        return Path(named).expanduser() / "digests.db"
    import platformdirs

    return Path(platformdirs.user_cache_dir("dais")) / "digests.db"


class DigestCache:
    """The cache of this user. Every method blocks, opens the file anew and never fails."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_path()

    def known(self, files: Mapping[str, Stamp]) -> dict[str, str]:
        """The digests of those that are known with these stamps, by place."""
        if not files:
            return {}
        found: dict[str, str] = {}
        try:
            with closing(self._open()) as database:
                rows = database.execute(
                    "SELECT place, device, inode, size, mtime, ctime, digest FROM digests "
                    "WHERE place IN (SELECT value FROM json_each(?))",
                    (json.dumps(list(files)),),
                )
                for place, *stamp, digest in rows:
                    if tuple(stamp) == files[place]:
                        found[place] = digest
        except (sqlite3.Error, OSError, UnicodeEncodeError):
            return found
        return found

    def put(self, files: Iterable[tuple[str, Stamp, str]]) -> None:
        """Remember digests: place, stamp, digest."""
        now = time.time_ns()
        rows = [
            (place, *stamp, digest, now // 1_000_000_000)
            for place, stamp, digest in files
            if now - max(stamp[3], stamp[4]) > FRESH_NS
        ]
        if not rows:
            return
        try:
            with closing(self._open()) as database, database:
                database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
                (count,) = database.execute("SELECT count(*) FROM digests").fetchone()
                if count > MOST:
                    database.execute(
                        "DELETE FROM digests WHERE place IN (SELECT place FROM digests ORDER BY used LIMIT ?)",
                        (count - MOST // 2,),
                    )
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
