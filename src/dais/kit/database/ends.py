"""One end of moving a whole database: its tables, their rows in batches, its counters. Blocking, on the driver itself.

Rows travel as tuples of what SQLite stores: integers, floats, text, bytes, None. Where PostgreSQL has a type of its own
(a boolean) the value is turned at its end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy import Engine, Integer, MetaData, Table, create_engine
from sqlalchemy.exc import DatabaseError

from dais.kit.database import sqlite
from dais.kit.database.open import sqlite_path
from dais.kit.errors import Invalid, Unavailable

Rows = list[tuple[Any, ...]]

BATCH = 2_000
VERSION_TABLE = "alembic_version"


class End(Protocol):
    """A database that is open for one transaction."""

    def count(self, table: str) -> int: ...
    def read(self, table: Table) -> Iterator[Rows]: ...
    def fill(self, table: Table, batches: Iterable[Rows]) -> None: ...
    def counters(self) -> dict[str, int]: ...
    def set_counters(self, counters: dict[str, int]) -> None: ...
    def finish(self) -> None: ...
    def commit(self) -> None: ...
    def close(self) -> None: ...


def tables_of(url: str) -> list[Table]:
    """The tables that are in a database, those that others refer to first; without Alembic's own. Raises DaisError."""
    metadata = MetaData()
    with connected(url) as engine:
        metadata.reflect(engine)
    return [table for table in metadata.sorted_tables if table.name != VERSION_TABLE]


@contextmanager
def connected(url: str) -> Iterator[Engine]:
    """SQLAlchemy's engine for a look at a database. Raises DaisError when it cannot be reached."""
    engine = create_engine(driver_url(url))
    try:
        yield engine
    except DatabaseError as error:
        raise of_driver(error, url) from error
    finally:
        engine.dispose()


def of_driver(error: DatabaseError, url: str) -> BaseException:
    """SQLAlchemy's error as one of ours."""
    original = error.orig
    found: BaseException = error
    if isinstance(original, sqlite3.Error):
        found = sqlite.translated(original, sqlite_path(url))
    elif not url.startswith("sqlite"):
        import psycopg  # which need not be there

        from dais.kit.database import postgres

        found = postgres.translated(original) if isinstance(original, psycopg.Error) else error
    if found is original or found is error:
        return Unavailable(f"the schema could not be read or brought up to date: {original}", code="migration-failed")
    return found


def driver_url(url: str) -> str:
    """The URL as SQLAlchemy takes it."""
    return url.replace("postgresql://", "postgresql+psycopg://").replace("postgres://", "postgresql+psycopg://")


def open_end(url: str, tables: Sequence[Table], *, write: bool) -> End:
    """Open one end: for reading on one consistent snapshot, or for filling in one transaction. Raises DaisError."""
    if url.startswith("sqlite"):
        return SqliteEnd(url, tables, write=write)
    from dais.kit.database.postgres_end import PostgresEnd  # its driver need not be there

    return PostgresEnd(url, tables, write=write)


class SqliteEnd:
    """A database file. Filled with the check of references put off to the end."""

    def __init__(self, url: str, tables: Sequence[Table], *, write: bool) -> None:
        self._tables = tables
        self._path = sqlite_path(url)
        with _Told(self._path):
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._connection.execute("PRAGMA foreign_keys = 0")
            self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the snapshot begins now

    def count(self, table: str) -> int:
        return int(self._connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])  # noqa: S608

    def read(self, table: Table) -> Iterator[Rows]:
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        with _Told(self._path):
            cursor = self._connection.execute(f'SELECT {columns} FROM "{table.name}"')  # noqa: S608 (names of ours)
            while rows := cursor.fetchmany(BATCH):
                yield rows

    def fill(self, table: Table, batches: Iterable[Rows]) -> None:
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        marks = ", ".join("?" * len(table.columns))
        statement = f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})'  # noqa: S608 (names of ours)
        for rows in batches:
            with _Told(self._path):
                self._connection.executemany(statement, rows)

    def counters(self) -> dict[str, int]:
        """The last number that each self-numbering table has given out."""
        if not self._numbers():
            return {}
        named = set(numbering(self._tables))
        rows = self._connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
        return {name: int(last) for name, last in rows if name in named}

    def set_counters(self, counters: dict[str, int]) -> None:
        for name, last in counters.items() if self._numbers() else ():
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
            self._connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, last))

    def _numbers(self) -> bool:
        """Whether any table remembers its last number."""
        found = self._connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'").fetchone()
        return bool(found[0])

    def finish(self) -> None:
        broken = self._connection.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise Invalid(
                f"a row of {broken[0]} refers to a row of {broken[2]} that is not there", code="broken-reference"
            )

    def commit(self) -> None:
        with _Told(self._path):
            self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def numbering(tables: Sequence[Table]) -> dict[str, str]:
    """The tables whose primary key is one integer, which the database may give out, and that column."""
    found = {}
    for table in tables:
        keys = list(table.primary_key.columns)
        if len(keys) == 1 and isinstance(keys[0].type, Integer):
            found[table.name] = keys[0].name
    return found


class _Told:
    """Turns SQLite's errors into ours."""

    def __init__(self, path: Any) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, sqlite3.Error):
            raise sqlite.translated(error, self._path) from error
