"""The database of an installation, and the copy of it in a snapshot."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from dais.kit.data_directory import LOCK_FILE
from dais.kit.errors import Conflict, Unavailable
from dais.sdk.installation import lock_holder, read_info


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
