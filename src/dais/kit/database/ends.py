"""One end of moving a whole database: its tables, their rows in batches, its counters. Blocking, on the driver itself.

Rows travel as tuples of what SQLite stores: integers, floats, text, bytes, None. Where PostgreSQL has a type of its own
(a boolean) the value is turned at its end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg
from psycopg import sql
from sqlalchemy import Boolean, Engine, Integer, MetaData, Table, create_engine
from sqlalchemy.exc import DatabaseError

from dais.kit.database import postgres, sqlite
from dais.kit.database.open import sqlite_path
from dais.kit.errors import DaisError, Invalid, Unavailable

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
    elif isinstance(original, psycopg.Error):
        found = postgres.translated(original)
    if found is original or found is error:
        return Unavailable(f"the schema could not be read or brought up to date: {original}", code="migration-failed")
    return found


def driver_url(url: str) -> str:
    """The URL as SQLAlchemy takes it."""
    return url.replace("postgresql://", "postgresql+psycopg://").replace("postgres://", "postgresql+psycopg://")


def open_end(url: str, tables: Sequence[Table], *, write: bool) -> End:
    """Open one end: for reading on one consistent snapshot, or for filling in one transaction. Raises DaisError."""
    end = SqliteEnd if url.startswith("sqlite") else PostgresEnd
    return end(url, tables, write=write)


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
        numbering = set(_numbering(self._tables))
        rows = self._connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
        return {name: int(last) for name, last in rows if name in numbering}

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


class PostgresEnd:
    """A database of a server. Filled by COPY, without indexes and references, which are made again at the end."""

    def __init__(self, url: str, tables: Sequence[Table], *, write: bool) -> None:
        self._tables = tables
        self._again: list[str] = []
        try:
            self._connection = psycopg.connect(url, autocommit=True, connect_timeout=5, application_name="dais")
            if write:
                self._connection.execute("BEGIN")
                self._drop_for_speed()
            else:
                self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        except psycopg.Error as error:
            raise _ours(error) from error

    def count(self, table: str) -> int:
        found = self._connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        assert found is not None
        return int(found[0])

    def read(self, table: Table) -> Iterator[Rows]:
        plain = [isinstance(column.type, Boolean) for column in table.columns]
        query = sql.SQL("SELECT {} FROM {}").format(_names(table), sql.Identifier(table.name))
        try:
            with self._connection.cursor("dais_moving", binary=True) as cursor:
                cursor.itersize = BATCH
                cursor.execute(query)
                while rows := cursor.fetchmany(BATCH):
                    yield [_to_plain(row, plain) for row in rows] if any(plain) else rows
        except psycopg.Error as error:
            raise _ours(error) from error

    def fill(self, table: Table, batches: Iterable[Rows]) -> None:
        booleans = [index for index, column in enumerate(table.columns) if isinstance(column.type, Boolean)]
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), _names(table))
        row: tuple[Any, ...] = ()
        try:
            with self._connection.cursor() as cursor, cursor.copy(query) as copy:
                for rows in batches:
                    for row in rows:
                        copy.write_row(_to_booleans(row, booleans) if booleans else row)
        except psycopg.DataError as error:
            raise _refused(table, row, error) from error
        except psycopg.Error as error:
            raise _ours(error) from error

    def counters(self) -> dict[str, int]:
        """The last number that each self-numbering table has given out."""
        found = {}
        for name, sequence in self._sequences():
            row = self._connection.execute(
                sql.SQL("SELECT last_value, is_called FROM {}").format(sql.SQL(sequence))
            ).fetchone()
            if row is not None and row[1]:
                found[name] = int(row[0])
        return found

    def set_counters(self, counters: dict[str, int]) -> None:
        for name, sequence in self._sequences():
            if name in counters:
                self._connection.execute("SELECT setval(%s, %s, true)", (sequence, max(1, counters[name])))

    def finish(self) -> None:
        try:
            for statement in self._again:
                self._connection.execute(statement)
            self._connection.execute("ANALYZE")
        except psycopg.Error as error:
            raise Invalid(f"the rows do not fit together: {_line(error)}", code="broken-reference") from error

    def commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except psycopg.Error as error:
            raise _ours(error) from error

    def close(self) -> None:
        self._connection.close()

    def _sequences(self) -> Iterator[tuple[str, str]]:
        for name, column in _numbering(self._tables).items():
            row = self._connection.execute("SELECT pg_get_serial_sequence(%s, %s)", (name, column)).fetchone()
            if row is not None and row[0] is not None:
                yield name, str(row[0])

    def _drop_for_speed(self) -> None:
        """Drop references and plain indexes inside the transaction; `finish` makes them again."""
        names = [table.name for table in self._tables]
        references = self._connection.execute(
            "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
        ).fetchall()
        indexes = self._connection.execute(
            "SELECT quote_ident(c.relname), pg_get_indexdef(i.indexrelid) FROM pg_index i"
            " JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid"
            " WHERE t.relname = ANY(%s) AND t.relnamespace = current_schema()::regnamespace"
            " AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.conindid = i.indexrelid)",
            (names,),
        ).fetchall()
        for name, definition in indexes:
            self._connection.execute(f"DROP INDEX {name}")
            self._again.append(definition)
        for table, name, definition in references:
            self._connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            self._again.append(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")


def _numbering(tables: Sequence[Table]) -> dict[str, str]:
    """The tables whose primary key is one integer, which the database may give out, and that column."""
    found = {}
    for table in tables:
        keys = list(table.primary_key.columns)
        if len(keys) == 1 and isinstance(keys[0].type, Integer):
            found[table.name] = keys[0].name
    return found


def _names(table: Table) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in table.columns)


def _to_plain(row: tuple[Any, ...], plain: list[bool]) -> tuple[Any, ...]:
    return tuple(int(value) if turn and value is not None else value for value, turn in zip(row, plain, strict=True))


def _to_booleans(row: tuple[Any, ...], booleans: list[int]) -> tuple[Any, ...]:
    values = list(row)
    for index in booleans:
        values[index] = None if values[index] is None else bool(values[index])
    return tuple(values)


def _refused(table: Table, row: tuple[Any, ...], error: psycopg.Error) -> DaisError:
    """What PostgreSQL cannot hold: named by table and key, with the column where a NUL is the cause."""
    key = dict(zip((column.name for column in table.columns), row, strict=False))
    named = ", ".join(f"{column.name} {key.get(column.name)!r}" for column in table.primary_key.columns)
    for name, value in key.items():
        if isinstance(value, str) and "\0" in value:
            return Invalid(
                f"{table.name}.{name} of the row with {named} holds a NUL character, which PostgreSQL cannot store; "
                "remove that row, or the character in it",
                code="nul-in-text",
                table=table.name,
                column=name,
            )
    return Invalid(
        f"PostgreSQL refuses a row of {table.name} at or before the one with {named}: {_line(error)}",
        code="row-refused",
        table=table.name,
    )


class _Told:
    """Turns SQLite's errors into ours."""

    def __init__(self, path: Any) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, sqlite3.Error):
            raise sqlite.translated(error, self._path) from error


def _ours(error: psycopg.Error) -> BaseException:
    return postgres.translated(error)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
