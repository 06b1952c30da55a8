"""Reading events in an order that never changes behind a reader's back.

Events are written with their verb (`UnitOfWork.emit`). On SQLite, where one transaction at a time writes, each is
written with its number. On PostgreSQL it has none yet: the relay, one leased loop, numbers committed rows; readers see
numbered rows only. So a row that was committed late gets a later number, and whoever resumes from a number misses
nothing. Rows live seven days; a reader that asks for older ones must start anew.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, select, update

from dais.kit.clock import SECOND
from dais.kit.database import Database, Row, Statement, UnitOfWork
from dais.kit.database.work import NUMBERED as NUMBERED
from dais.kit.database.work import WRITTEN, events
from dais.kit.leases import Lease, LeasedLoop, check

KEPT_SECONDS = 7 * 86_400
BATCH = 2_000
PURGE_SECONDS = 600.0
RELAY_PAUSE = 0.02
"""Seconds between two numberings: one transaction for all events of that time."""

_waiting = (
    select(events.c.id, func.row_number().over(order_by=events.c.id).label("place"))
    .where(events.c.seq.is_(None))
    .order_by(events.c.id)
    .limit(bindparam("most"))
    .subquery("waiting")
)
_newest = select(func.coalesce(func.max(events.c.seq), 0)).scalar_subquery()
_number = Statement(update(events).where(events.c.id == _waiting.c.id).values(seq=_newest + _waiting.c.place))
_oldest = select(func.coalesce(func.min(events.c.seq), 0)).scalar_subquery()
_newest_id = Statement(select(func.max(events.c.id)))
_bounds = Statement(select(_oldest.label("oldest"), _newest.label("newest")))
_after = select(events).where(events.c.seq > bindparam("after")).order_by(events.c.seq).limit(bindparam("most"))
_all_after = Statement(_after)
_all_of_subject = Statement(_after.where(events.c.subject_id == bindparam("subject")))
# The newest row stays whatever its age, so that numbers never start again from the beginning.
_purge = Statement(
    delete(events).where(
        events.c.at < bindparam("before"), events.c.seq < select(func.max(events.c.seq)).scalar_subquery()
    )
)


class NumberedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as readers see it. `at` is µs since the epoch."""

    seq: int
    at: int
    kind: str
    subject_type: str
    subject_id: str
    account_id: str | None
    data: dict[str, Any]


def number_events(uow: UnitOfWork, lease: Lease | None = None) -> int:
    """Number the committed events that have none; how many. With a lease, raises Conflict when it is lost."""
    if lease is not None:
        check(uow, lease)
    numbered = uow.run(_number, most=BATCH)
    if numbered:
        uow.hint(NUMBERED)
    return numbered


def purge_events(uow: UnitOfWork) -> int:
    """Delete the events older than seven days; how many."""
    return uow.run(_purge, before=uow.now - KEPT_SECONDS * SECOND)


def bounds(uow: UnitOfWork) -> tuple[int, int]:
    """The oldest and the newest number that are there; zeros when there are none."""
    row = uow.one(_bounds)
    assert row is not None
    return row.oldest, row.newest


def newest_id(uow: UnitOfWork) -> str | None:
    """The greatest id of an event: what happens next must get greater ones, whatever the clock says."""
    found: str | None = uow.scalar(_newest_id)
    return found


def can_resume(uow: UnitOfWork, seq: int) -> bool:
    """Whether everything after `seq` is still here, and `seq` was given by this database."""
    oldest, newest = bounds(uow)
    return oldest - 1 <= seq <= newest


def after(uow: UnitOfWork, seq: int, *, subject: str | None = None, limit: int = 500) -> list[NumberedEvent]:
    """Events with greater numbers, in order; of `subject` only. Who may see them is the caller's to ask."""
    values: dict[str, Any] = {"after": seq, "most": limit}
    if subject is not None:
        values["subject"] = subject
    return [_event(row) for row in uow.all(_all_of_subject if subject is not None else _all_after, **values)]


def relay(db: Database) -> LeasedLoop:
    """The loop that numbers events."""

    async def step(lease: Lease) -> None:
        while await db.write(number_events, lease) == BATCH:
            pass

    return LeasedLoop(db, "outbox-relay", step, topic=WRITTEN, interval=2.0, pause=RELAY_PAUSE)


def purger(db: Database) -> LeasedLoop:
    """The loop that deletes old events."""

    async def step(_: Lease) -> None:
        await db.write(purge_events)

    return LeasedLoop(db, "outbox-purge", step, interval=PURGE_SECONDS, seconds=60.0)


def _event(row: Row) -> NumberedEvent:
    return NumberedEvent(
        seq=row.seq,
        at=row.at,
        kind=row.kind,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        account_id=row.account_id,
        data=msgspec.json.decode(row.data),
    )
