"""The database of a snapshot: one SQLite file, whichever kind the installation uses."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from dais.kit.data_directory import LOCK_FILE
from dais.kit.database.migrate import upgrade
from dais.kit.database.open import sqlite_path
from dais.kit.database.transfer import move, schema_of
from dais.kit.errors import Conflict, NotFound, Unavailable
from dais.sdk.installation import lock_holder, read_info

PAGES = 4096
"""Pages of a database that are copied at a time."""


def url_of(loaded: Mapping[str, Any], data_dir: Path) -> str:
    """The URL of an installation's database."""
    url: str = loaded["database"].url
    return url or f"sqlite:///{data_dir / 'dais.db'}"


def check_same(url: str, data_dir: Path) -> None:
    """Return unless the server that runs here uses another kind of database than the settings of this command name.

    Raises Conflict `other-database`: a database that was left behind would be copied in silence.
    """
    kind = "sqlite" if url.startswith("sqlite") else "postgresql"
    info = read_info(data_dir) if lock_holder(data_dir / LOCK_FILE) is not None else None
    if info is not None and info.database not in ("", kind):
        raise Conflict(
            f"the running server uses {info.database}, and the settings of this command name {kind}; give it the same "
            "settings (DAIS_DATABASE_URL, --config)",
            code="other-database",
        )


def copy(url: str, target: Path) -> str:
    """Copy the database, as it is at one moment, into a new file; its schema. The server goes on writing meanwhile.

    Raises NotFound `no-database`, Conflict `schema-older`, Unavailable.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if url.startswith("sqlite"):
        _copy_sqlite(sqlite_path(url), target)
    else:
        _copy_postgres(url, target)
    _flush(target)
    schema = schema_of(f"sqlite:///{target}")
    if schema is None:
        raise NotFound("the database has no tables yet; start Dais once before it is backed up", code="no-database")
    return schema


def _copy_sqlite(source: Path, target: Path) -> None:
    if not source.is_file():
        raise NotFound(
            f"there is no database {source}; is --data-dir right, and are the settings (DAIS_DATABASE_URL, --config) "
            "the server's?",
            code="no-database",
        )
    from dais.kit.database.sqlite import translated

    try:
        with closing(sqlite3.connect(source, isolation_level=None)) as ours, closing(sqlite3.connect(target)) as new:
            # A transaction of our own keeps all steps on one snapshot: else each write would begin the copy anew.
            ours.execute("BEGIN")
            ours.execute("SELECT count(*) FROM sqlite_master").fetchone()
            ours.backup(new, pages=PAGES, sleep=0.05)
            new.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.Error as error:
        raise translated(error, source) from error


def _copy_postgres(url: str, target: Path) -> None:
    """Into an SQLite database of the same schema: so that a backup can be restored to either kind."""
    schema = schema_of(url)
    if schema is None:
        raise NotFound("the database has no tables yet; start Dais once before it is backed up", code="no-database")
    place = f"sqlite:///{target}"
    upgrade(place)
    if schema_of(place) != schema:
        raise Conflict(
            f"the database has schema {schema}, and this Dais another; start this version once, or back up with the "
            "one that runs",
            code="schema-differs",
        )
    move(url, place)
    with closing(sqlite3.connect(target)) as new:
        new.execute("PRAGMA journal_mode = DELETE").fetchone()


def check(path: Path) -> None:
    """Return when an SQLite database is sound. Raises Unavailable `backup-damaged`."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
            said = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        said = str(error)
    if said != "ok":
        raise Unavailable(f"the database {path} is damaged: {said}", code="backup-damaged", path=str(path))


def remove_tree(directory: Path) -> None:
    """Remove a directory that is ours."""
    shutil.rmtree(directory)


def remove_sqlite(path: Path) -> None:
    """Remove an SQLite database with what lies beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
