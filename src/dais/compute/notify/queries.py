"""What became of a job's messages, and which are due."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, func, select, update

from dais.compute.notify.outbox import Facts
from dais.compute.notify.tables import deliveries, notify_settings
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.wire import answers

KEPT_SECONDS = 30 * 86_400
"""How long it is told what became of a message."""
MOST = 64
MOST_PER_USER = 4
"""Messages that are sent at once, and of one user: whose receiver is slow does not hold up others."""

_of_job = Statement(
    select(deliveries).where(deliveries.c.job_id == bindparam("job_id")).order_by(deliveries.c.id).limit(100)
)
_next = Statement(select(func.min(deliveries.c.next_at)))
_ranked = (
    select(
        deliveries.c.id,
        func.row_number().over(partition_by=deliveries.c.user_id, order_by=deliveries.c.next_at).label("place"),
    )
    .where(deliveries.c.next_at <= bindparam("now"))
    .subquery("ranked")
)
_due = Statement(select(_ranked.c.id).where(_ranked.c.place <= MOST_PER_USER).order_by(_ranked.c.place).limit(MOST))
_claim = Statement(
    update(deliveries)
    .where(in_list(deliveries.c.id, "ids"), deliveries.c.next_at <= bindparam("now"))
    .values(claim=bindparam("token"), tries=deliveries.c.tries + 1, next_at=bindparam("again"))
    .returning(deliveries.c.id, deliveries.c.user_id, deliveries.c.target, deliveries.c.facts, deliveries.c.tries)
)
_keys = Statement(
    select(notify_settings.c.user_id, notify_settings.c.signing).where(in_list(notify_settings.c.user_id, "ids"))
)
_settle = Statement(
    update(deliveries)
    .where(
        deliveries.c.id == bindparam("delivery_id"),
        deliveries.c.claim == bindparam("token"),
        deliveries.c.tries == bindparam("tried"),
        deliveries.c.next_at.is_not(None),
    )
    .values(
        {
            "claim": None,
            "error": bindparam("said"),
            "next_at": bindparam("again"),
            "delivered_at": bindparam("delivered"),
            "given_up_at": bindparam("given_up"),
        }
    )
)
_old = Statement(
    delete(deliveries).where(deliveries.c.next_at.is_(None), deliveries.c.created_at < bindparam("before"))
)


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be sent now; this is its try number `tries`. `signing` is sealed."""

    id: str
    user_id: str
    target: str
    facts: Facts
    tries: int
    signing: str | None


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """How a try went: delivered, given up, or to be tried again at an instant (µs)."""

    due: Due
    error: str | None = None
    again: int | None = None


def deliveries_of(uow: UnitOfWork, job_id: str) -> list[answers.Delivery]:
    """What became of a job's messages."""
    return [_answer(row) for row in uow.all(_of_job, job_id=job_id)]


def next_due(uow: UnitOfWork) -> int | None:
    """When the next message is due (µs); None when there is none."""
    found: int | None = uow.scalar(_next)
    return found


def claim_due(uow: UnitOfWork, token: str, again_after: float) -> list[Due]:
    """Take messages that are due. Should we die before we have told how it went, they are due again after seconds.

    The try is counted here: a message at which servers die is given up like any other.
    """
    ids = [row.id for row in uow.all(_due, now=uow.now)]
    if not ids:
        return []
    rows = uow.all(_claim, ids=ids, now=uow.now, token=token, again=uow.now + int(again_after * SECOND))
    keys = {row.user_id: row.signing for row in uow.all(_keys, ids=sorted({row.user_id for row in rows}))}
    return [
        Due(
            id=row.id,
            user_id=row.user_id,
            target=row.target,
            facts=msgspec.json.decode(row.facts, type=Facts),
            tries=row.tries,
            signing=keys.get(row.user_id),
        )
        for row in rows
    ]


def settle(uow: UnitOfWork, token: str, settled: Sequence[Settled]) -> None:
    """Write how tries went, of those that nobody else has taken since."""
    for one in settled:
        uow.run(
            _settle,
            delivery_id=one.due.id,
            token=token,
            tried=one.due.tries,
            said=one.error,
            again=one.again,
            delivered=uow.now if one.error is None else None,
            given_up=uow.now if one.error is not None and one.again is None else None,
        )


def forget_old(uow: UnitOfWork) -> None:
    """Delete what was settled long ago."""
    uow.run(_old, before=uow.now - KEPT_SECONDS * SECOND)


def _answer(row: Row) -> answers.Delivery:
    done = row.delivered_at or row.given_up_at
    return answers.Delivery(
        id=row.id,
        target=row.target,
        state="DELIVERED" if row.delivered_at else "GIVEN_UP" if row.given_up_at else "WAITING",
        tries=row.tries,
        error=row.error,
        created_at=to_rfc3339(row.created_at),
        next_at=None if row.next_at is None else to_rfc3339(row.next_at),
        done_at=None if done is None else to_rfc3339(done),
    )
