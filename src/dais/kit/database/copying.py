"""A copy of a database as it is at one moment, in one SQLite file, while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from dais.kit.database.migrate import upgrade
from dais.kit.database.open import sqlite_path
from dais.kit.database.sqlite import translated
from dais.kit.database.transfer import move, schema_of
from dais.kit.errors import NotFound

PAGES = 4096
"""Pages of a database that are copied at a time."""


def copy_database(url: str, target: Path) -> str:
    """Copy a database into a new file, which only its owner may read; its schema. Nobody who writes meanwhile waits.

    A PostgreSQL database becomes an SQLite one of the same schema. Raises NotFound `no-database`, DaisError, OSError.
    """
    schema = schema_of(url) if not url.startswith("sqlite") or sqlite_path(url).is_file() else None
    if schema is None:
        where = f"no database {sqlite_path(url)}" if url.startswith("sqlite") else "nothing in the database"
        raise NotFound(
            f"there is {where}; is --data-dir right, and are the settings (DAIS_DATABASE_URL, --config) the server's? "
            "A new installation must be started once",
            code="no-database",
        )
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if url.startswith("sqlite"):
        _copy_pages(sqlite_path(url), target)
    else:
        place = f"sqlite:///{target}"
        upgrade(place, step=schema)
        move(url, place)
    _settle(target)
    return schema


def _copy_pages(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source, isolation_level=None)) as ours, closing(sqlite3.connect(target)) as new:
            # A transaction of our own keeps all steps on one snapshot: else each write would begin the copy anew.
            ours.execute("BEGIN")
            ours.execute("SELECT count(*) FROM sqlite_master").fetchone()
            ours.backup(new, pages=PAGES, sleep=0.05)
    except sqlite3.Error as error:
        raise translated(error, source) from error


def _settle(path: Path) -> None:
    """One file, without a write-ahead log, on the disk."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
