"""Opening the database that a URL names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from dais.kit.clock import Clock, SystemClock
from dais.kit.database.base import Database
from dais.kit.errors import Invalid
from dais.kit.extras import require


def open_database(url: str, clock: Clock | None = None) -> Database:
    """Open `sqlite:///path/to/file` or `postgresql://user@host/name`. Raises Invalid or Unavailable."""
    check_url(url)
    clock = clock or SystemClock()
    if url.startswith("sqlite"):
        from dais.kit.database.sqlite import SqliteDatabase

        return SqliteDatabase(sqlite_path(url), clock)
    from dais.kit.database.postgres import PostgresDatabase

    return PostgresDatabase(url, clock)


def check_url(url: str) -> None:
    """Return when the URL names a kind of database that can be opened here.

    Raises Invalid `bad-database-url`, Unavailable `not-installed`.
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("sqlite", "postgresql", "postgres"):
        raise Invalid(
            f"database URL scheme {scheme!r} is not known; use sqlite:///FILE or postgresql://USER@HOST/NAME",
            code="bad-database-url",
        )
    if scheme != "sqlite":
        require("psycopg", "postgres", "a PostgreSQL database")


def sqlite_path(url: str) -> Path:
    """The file that an SQLite URL names (`sqlite:////absolute` or `sqlite:///relative`)."""
    return Path(url.removeprefix("sqlite:///"))
