"""The unit of work: what a verb gets, on an open connection, inside a transaction that the edge commits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, Column, Index, String, Table, bindparam, func, insert, select

from dais.kit.clock import Clock
from dais.kit.database.bounds import Bound
from dais.kit.database.remembered import Remembered
from dais.kit.database.statement import Compiled, Statement
from dais.kit.database.tables import Document, Id, Instant, metadata
from dais.kit.ids import new_id

WRITTEN = "events"
"""The topic that is hinted when there are events to be numbered."""
NUMBERED = "events.numbered"
"""The topic that is hinted when readers may find more events."""

T = TypeVar("T")

Row = Any
"""A named tuple with one field per selected column."""

events = Table(
    "events",
    metadata,
    Column("id", Id, primary_key=True),
    # Readers see only numbered rows, in the order of `seq`. On SQLite a row is written with its number; elsewhere the
    # relay numbers it after the commit.
    Column("seq", BigInteger, unique=True),
    Column("at", Instant, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("subject_type", String(32), nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("account_id", Id),
    Column("data", Document, nullable=False),
    Index("ix_events_subject_id_seq", "subject_id", "seq"),
)

_columns: dict[str, Any] = {column.name: bindparam(column.name) for column in events.c if column.name != "seq"}
_insert_event = Statement(insert(events).values(_columns))
_insert_numbered_event = Statement(insert(events).values({**_columns, "seq": bindparam("seq")}))
_last_number = Statement(select(func.coalesce(func.max(events.c.seq), 0)))


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as it is written in the outbox. `kind` is `<type>.<what>`: `job.state`."""

    kind: str
    subject_type: str
    subject_id: str
    account_id: str | None
    data: Mapping[str, Any] = field(default_factory=dict)


class UnitOfWork:
    """One verb's view of the database. It neither commits nor rolls back.

    `now` is the instant of the whole unit (µs). Statements take their parameters by name; a list given to an
    `in_list` parameter is turned into JSON here. `memory` is what writing verbs of this process remember of the
    database between their units: only what may be wrong, for other processes write, too, or be gone. `known` is what
    this process alone can change (`remembered`), `since` its time before the snapshot was taken (now), and `stale` the
    topics of what others of this transaction changed. `own` is what units of one transaction remember together where
    nothing is `known`: all that it holds was read after each of them was asked for. `touched` is whether anything was
    written, or may have been. `bound` is how long the verb may take.
    """

    __slots__ = (
        "_connection",
        "_events",
        "_hints",
        "_known",
        "_later",
        "_own",
        "_since",
        "_stale",
        "bound",
        "dialect",
        "memory",
        "now",
        "tallies",
        "touched",
    )

    def __init__(
        self,
        connection: Any,
        dialect: str,
        clock: Clock,
        memory: dict[str, Any] | None = None,
        known: Remembered | None = None,
        stale: Set[str] = frozenset(),
        since: int | None = None,
        own: dict[str, dict[Any, Any]] | None = None,
        bound: Bound | None = None,
    ) -> None:
        self._connection = connection
        self.memory = {} if memory is None else memory
        self._known = known
        self._since = since if since is not None else known.now if known is not None else 0
        self._stale = stale
        self._own = {} if own is None else own
        self._later: dict[Statement, list[Mapping[str, Any]]] = {}
        self._events: list[dict[str, Any]] = []
        self._hints: set[str] = set()
        self.tallies: list[tuple[str, ...]] = []
        self.dialect = dialect
        self.now = clock.now()
        self.touched = False
        self.bound = bound

    def run(self, statement: Statement, **values: Any) -> int:
        """Execute; the number of rows changed."""
        return int(self._execute(statement.compiled(self.dialect), values).rowcount)

    def insert(self, statement: Statement, **values: Any) -> int | None:
        """Insert a row into a table that numbers its rows; its number, or None where a conflict has kept it out."""
        cursor = self._execute(statement.compiled(self.dialect), values)
        if self.dialect == "sqlite":
            return cursor.lastrowid if cursor.rowcount else None
        row = cursor.fetchone()
        return None if row is None else row[0]

    def many(self, statement: Statement, rows: Iterable[Mapping[str, Any]]) -> None:
        """Execute once per row."""
        compiled = statement.compiled(self.dialect)
        bound = [compiled.bound(row) for row in rows]
        if bound:
            self.touched = True
            cursor = self._connection.cursor()
            cursor.executemany(compiled.sql, bound)

    def all(self, statement: Statement, **values: Any) -> list[Row]:
        """Every row."""
        compiled = statement.compiled(self.dialect)
        cursor = self._execute(compiled, values)
        make = compiled.make or compiled.learn(cursor.description)
        return [make(row) for row in cursor.fetchall()]

    def one(self, statement: Statement, **values: Any) -> Row | None:
        """The first row, or None."""
        compiled = statement.compiled(self.dialect)
        cursor = self._execute(compiled, values)
        row = cursor.fetchone()
        if row is None:
            return None
        return (compiled.make or compiled.learn(cursor.description))(row)

    def scalar(self, statement: Statement, **values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self._execute(statement.compiled(self.dialect), values).fetchone()
        return None if row is None else row[0]

    def remembered(self, topic: str, key: Any, load: Callable[[], T]) -> T:
        """What `load` reads, which only verbs that hint `topic` can change; kept where all of them run in this process.

        Elsewhere, and once such a verb has changed something in this very transaction, it is kept for this unit alone,
        until the next hint. `key` is hashable, and unique for the topic.
        """
        known = self._known
        if known is None or topic in self._hints or topic in self._stale:
            own = self._own.setdefault(topic, {})
            if key not in own:
                own[key] = load()
            return own[key]  # type: ignore[no-any-return]
        found = known.get(topic, key, self._since)
        if found is None:
            found = load()
            known.put(topic, key, found, self._since)
        return found  # type: ignore[no-any-return]

    def remembers(self, topic: str) -> bool:
        """Whether what is `remembered` of the topic now is kept for other units."""
        return self._known is not None and topic not in self._hints and topic not in self._stale

    def recalled(self, topic: str, key: Any) -> Any:
        """What is remembered under a key for all units, or None."""
        return self._known.get(topic, key, self._since) if self._known is not None and self.remembers(topic) else None

    def later(self, statement: Statement, row: Mapping[str, Any]) -> None:
        """Execute with the others of its kind at the end of the transaction: rows that nobody reads before it."""
        self._later.setdefault(statement, []).append(row)

    def emit(self, event: Event) -> None:
        """Write an event with this unit: it is seen by others if and only if the unit is committed."""
        self._events.append(
            {
                "id": new_id(),
                "at": self.now,
                "kind": event.kind,
                "subject_type": event.subject_type,
                "subject_id": event.subject_id,
                "account_id": event.account_id,
                "data": msgspec.json.encode(event.data).decode(),
            }
        )
        self._hints.add(NUMBERED if self.dialect == "sqlite" else WRITTEN)

    def hint(self, topic: str) -> None:
        """Wake whoever waits for `topic`, once this unit is committed. A hint shortens a wait, no more."""
        self._hints.add(topic)
        self._own.pop(topic, None)

    def tally(self, name: str, *labels: str) -> None:
        """Count one of something for `/metrics`, if this unit is committed."""
        self.tallies.append((name, *labels))

    @property
    def hints(self) -> set[str]:
        """The topics to wake after the commit."""
        return self._hints

    def _execute(self, compiled: Compiled, values: dict[str, Any]) -> Any:
        for name, value in values.items():
            if type(value) in _lists:
                values[name] = msgspec.json.encode(value).decode()
        if compiled.writes:
            self.touched = True
        if self.bound is not None and self.bound.is_over():
            raise self.bound.error()
        return self._connection.execute(compiled.sql, compiled.bound(values))


_lists = frozenset({list, tuple, set})


def write_out(units: Sequence[UnitOfWork]) -> None:
    """Write what the units of one transaction put off to its end. Called by the edge only."""
    if not units:
        return
    later: dict[Statement, list[Mapping[str, Any]]] = {}
    told: list[dict[str, Any]] = []
    for unit in units:
        for statement, rows in unit._later.items():
            later.setdefault(statement, []).extend(rows)
        told += unit._events
        unit._later, unit._events = {}, []
    for statement, rows in later.items():
        units[0].many(statement, rows)
    if not told:
        return
    if units[0].dialect != "sqlite":
        units[0].many(_insert_event, told)
        return
    # There is one writer at a time, so that transactions are committed in the order of their numbers.
    last = units[0].scalar(_last_number)
    for number, event in enumerate(told, last + 1):
        event["seq"] = number
    units[0].many(_insert_numbered_event, told)


Verb = Callable[..., Any]
"""A plain function whose first parameter is a UnitOfWork."""
