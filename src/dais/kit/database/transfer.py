"""Moving a whole database, of either kind, into an empty one: all of it or nothing, and proved before it is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import msgspec
from blake3 import blake3
from sqlalchemy import Table, inspect

from dais.kit.database.ends import VERSION_TABLE, End, Rows, connected, open_end, tables_of
from dais.kit.database.open import check_url, open_database
from dais.kit.errors import Conflict, Unavailable
from dais.kit.leases import live_holder
from dais.kit.tables import leases

_encode = msgspec.msgpack.Encoder().encode
_MASK = (1 << 256) - 1


class TableSum(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a table: the number of rows, and the sum of their BLAKE3 digests modulo 2^256, in any order."""

    name: str
    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Moved:
    """How far it is: rows of `table` and of all."""

    table: str
    rows: int
    total: int


OnMoved = Callable[[Moved], None]


class _Sum:
    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def watch(self, batches: Iterable[Rows], tell: Callable[[int], None]) -> Iterator[Rows]:
        """Pass batches on, and reckon with them."""
        for rows in batches:
            total = 0
            for row in rows:
                total += int.from_bytes(blake3(_encode(row)).digest(), "big")
            self._sum = (self._sum + total) & _MASK
            self.rows += len(rows)
            yield rows
            tell(len(rows))

    def result(self, name: str) -> TableSum:
        return TableSum(name=str(name), rows=self.rows, digest=f"{self._sum:064x}")


def move(source: str, target: str, *, tell: OnMoved | None = None) -> list[TableSum]:
    """Copy every row of one database into another that has the same schema and no rows; both are URLs.

    The source is read on one snapshot. The target is filled in one transaction, read again, and committed only when
    both sides have the same rows. Raises Conflict `schema-differs`, `target-not-empty`, Invalid (rows that the target
    cannot hold), Unavailable.
    """
    tables = tables_of(target)
    _check_same_schema(source, target, tables)
    with closing(open_end(source, tables, write=False)) as from_, closing(open_end(target, tables, write=True)) as to:
        _check_empty(to, tables, target)
        total = sum(from_.count(table.name) for table in tables)
        steps = _Steps(2 * total, tell)
        sums = [_copy(from_, to, table, steps) for table in tables]
        to.finish()
        for before in sums:
            after = _sum(to, next(table for table in tables if table.name == before.name), steps)
            if after != before:
                raise Unavailable(
                    f"{before.name} has other rows after the move ({before.rows:,} before, {after.rows:,} after; their "
                    "hashes differ), so nothing was kept; this is a fault of Dais, please report it",
                    code="move-differs",
                )
        to.set_counters(from_.counters())
        to.commit()
        return sums


def sums_of(url: str) -> list[TableSum]:
    """What is in each table of a database."""
    tables = tables_of(url)
    with closing(open_end(url, tables, write=False)) as end:
        return [_sum(end, table, _Steps(0, None)) for table in tables]


def is_empty(url: str) -> bool:
    """Whether a database has no rows of ours, and nothing of anybody else's."""
    tables = tables_of(url)
    with closing(open_end(url, tables, write=False)) as end:
        return not any(end.count(table.name) for table in tables)


def check_unused(url: str) -> None:
    """Return when no server works on a database, as far as its leases tell. Raises Conflict `already-running`."""
    check_url(url)
    if leases.name not in {table.name for table in tables_of(url)}:
        return
    database = open_database(url)
    try:
        held = database.read_sync(live_holder)
    finally:
        database.close()
    if held is not None:
        raise Conflict(
            f"a server works on this database: {held} has a lease; stop it with `dais down` and try again",
            code="already-running",
        )


class _Steps:
    """Tells how far it is, at most ten times a second."""

    def __init__(self, total: int, tell: OnMoved | None) -> None:
        self._tell = tell
        self._total = total
        self._done = 0
        self._told = 0.0

    def advance(self, table: str, rows: int) -> None:
        self._done += rows
        now = time.monotonic()
        if self._tell is not None and (now - self._told > 0.1 or self._done == self._total):
            self._told = now
            self._tell(Moved(table, self._done, self._total))


def _copy(source: End, target: End, table: Table, steps: _Steps) -> TableSum:
    counted = _Sum()
    target.fill(table, counted.watch(source.read(table), lambda rows: steps.advance(table.name, rows)))
    return counted.result(table.name)


def _sum(end: End, table: Table, steps: _Steps) -> TableSum:
    counted = _Sum()
    for _ in counted.watch(end.read(table), lambda rows: steps.advance(table.name, rows)):
        pass
    return counted.result(table.name)


def schema_of(url: str) -> str | None:
    """The step of the migrations that a database has; None when it has none."""
    with connected(url) as engine:
        if not inspect(engine).has_table(VERSION_TABLE):
            return None
        with engine.connect() as connection:
            row = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608
            return None if row is None else str(row[0])


def _check_same_schema(source: str, target: str, tables: list[Table]) -> None:
    ours, theirs = schema_of(source), schema_of(target)
    shape = {table.name: {column.name for column in table.columns} for table in tables}
    if ours != theirs or shape != {table.name: {c.name for c in table.columns} for table in tables_of(source)}:
        raise Conflict(
            f"the databases have different schemas ({ours} and {theirs}); start this version of Dais once on the one "
            "that is older",
            code="schema-differs",
        )


def _check_empty(end: End, tables: list[Table], url: str) -> None:
    full = [table.name for table in tables if end.count(table.name)]
    if full:
        raise Conflict(
            f"the database that is to be filled has rows already (in {', '.join(full[:5])}); name an empty one",
            code="target-not-empty",
        )
