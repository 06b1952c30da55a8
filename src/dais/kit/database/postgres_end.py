"""PostgreSQL as one end of moving a whole database (`ends`): filled by COPY, read by a cursor of the server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Boolean, Table

from dais.kit.database.ends import BATCH, Rows, numbering
from dais.kit.database.postgres import translated
from dais.kit.errors import DaisError, Invalid


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
            raise translated(error) from error

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
            raise translated(error) from error

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
            raise translated(error) from error

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
            raise translated(error) from error

    def close(self) -> None:
        self._connection.close()

    def _sequences(self) -> Iterator[tuple[str, str]]:
        for name, column in numbering(self._tables).items():
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


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
