"""The messages of ended jobs: written with the end itself, so that neither is there without the other."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from sqlalchemy import bindparam, insert, select

from dais.compute.jobs.lifecycle import Life, State
from dais.compute.jobs.tables import jobs
from dais.compute.notify.tables import deliveries, notify_settings
from dais.identity import get_account
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.ids import new_id
from dais.wire.notify import NOBODY
from dais.wire.spec import JobSpec

WAITING = "deliveries"
"""The topic that is hinted when there is something to deliver."""

_jobs = Statement(
    select(
        jobs.c.id,
        jobs.c.number,
        jobs.c.name,
        jobs.c.account_id,
        jobs.c.owner_id,
        jobs.c.spec,
        jobs.c.created_at,
        notify_settings.c.targets,
    )
    .select_from(jobs.outerjoin(notify_settings, notify_settings.c.user_id == jobs.c.owner_id))
    .where(in_list(jobs.c.id, "job_ids"))
)
_insert = Statement(
    insert(deliveries).values(
        {
            name: bindparam(name)
            for name in ("id", "job_id", "user_id", "target", "facts", "tries", "next_at", "created_at")
        }
    )
)
_spec = msgspec.json.Decoder(JobSpec)
_targets = msgspec.json.Decoder(tuple[str, ...])


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended, as it is told. Instants are RFC 3339 text."""

    id: str
    number: int
    name: str | None
    account: str
    run: int
    state: str
    reason: str | None
    detail: str | None
    exit_code: int | None
    signal: int | None
    created_at: str
    started_at: str | None
    ended_at: str | None


def tell_ends(uow: UnitOfWork, ended: Mapping[str, Life]) -> None:
    """Write the messages of jobs that have just ended; nothing for those of which nobody wants to hear."""
    if not ended:
        return
    for row in uow.all(_jobs, job_ids=list(ended)):
        targets = _wanted(row)
        if targets:
            _tell(uow, row, ended[row.id], targets)


def tell_idle(uow: UnitOfWork, job_id: str, started_at: int | None, words: str) -> None:
    """Write the messages of a job that is about to be stopped, for nobody uses it."""
    for row in uow.all(_jobs, job_ids=[job_id]):
        targets = _wanted(row)
        if targets:
            life = Life(state=State.RUNNING, reason="idle", detail=words, started_at=started_at)
            _tell(uow, row, life, targets)


def _tell(uow: UnitOfWork, row: Row, life: Life, targets: tuple[str, ...]) -> None:
    facts = Facts(
        id=row.id,
        number=row.number,
        name=row.name,
        account=get_account(uow, row.account_id).full_name,
        run=life.run_index,
        state=str(life.state),
        reason=life.reason,
        detail=life.detail,
        exit_code=life.exit_code,
        signal=life.signal,
        created_at=to_rfc3339(row.created_at),
        started_at=None if life.started_at is None else to_rfc3339(life.started_at),
        ended_at=None if life.ended_at is None else to_rfc3339(life.ended_at),
    )
    uow.many(
        _insert,
        [
            {
                "id": new_id(),
                "job_id": row.id,
                "user_id": row.owner_id,
                "target": target,
                "facts": msgspec.json.encode(facts).decode(),
                "tries": 0,
                "next_at": uow.now,
                "created_at": uow.now,
            }
            for target in targets
        ],
    )
    uow.hint(WAITING)


def _wanted(row: Row) -> tuple[str, ...]:
    """What the job says, else its owner's default. A spec that says nothing is not even decoded."""
    named = _spec.decode(row.spec).notify if '"notify":' in row.spec else ()
    targets = named or (_targets.decode(row.targets) if row.targets else ())
    return () if targets == (NOBODY,) else targets
