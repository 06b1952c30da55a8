"""Settling a database that was restored from a backup: nothing of what it says is running runs here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import bindparam, delete, func, select, update

from dais.compute.environments.tables import environments
from dais.compute.jobs.lifecycle import State
from dais.compute.jobs.runs import cancel, lose
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import Segment
from dais.kit.database import Statement, UnitOfWork
from dais.kit.tables import leases

_unshipped = Statement(
    select(runs.c.id, runs.c.job_id, runs.c.idx, jobs.c.run_index, jobs.c.state)
    .select_from(runs.join(jobs, jobs.c.id == runs.c.job_id))
    .where(runs.c.shipped_at.is_(None))
    .order_by(runs.c.id)
)
_waiting = Statement(select(jobs.c.id).where(jobs.c.state == "PENDING").order_by(jobs.c.number))
_count_waiting = Statement(select(func.count()).select_from(jobs).where(jobs.c.state == "PENDING"))
_no_environments = Statement(
    update(environments)
    .where(environments.c.state.in_(("READY", "BUILDING")))
    .values(state="FAILED", detail=bindparam("why"), handle=None)
)
_no_leases = Statement(delete(leases))


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the jobs that were live: `lost` ended as node-lost, `queued_again` are restartable.

    `ended` had ended and were about to be stored; `waiting` will run when a server is started, `cancelled` will not.
    """

    lost: int
    queued_again: int
    ended: int
    waiting: int
    cancelled: int


def unshipped_runs(uow: UnitOfWork) -> list[str]:
    """The runs whose log was still with the supervisor."""
    return [row.id for row in uow.all(_unshipped)]


def settle_restored(
    uow: UnitOfWork, logs: Mapping[str, Sequence[Segment]], detail: str, *, cancel_waiting: bool = False
) -> Settled:
    """Write down that what ran or was about to run is lost; what is restartable is queued again.

    `logs` are the logs of unshipped runs, as far as they were saved. With `cancel_waiting` jobs that wait are
    cancelled, for the installation that was copied may have run them since.
    """
    lost = queued = ended = 0
    for row in uow.all(_unshipped):
        after = lose(uow, row, detail, logs.get(row.id, ()))
        if after is None:
            ended += row.idx == row.run_index
        else:
            queued += after.state == State.PENDING
            lost += after.state != State.PENDING
    cancelled = 0
    if cancel_waiting:
        for row in uow.all(_waiting):
            cancel(uow, row.id, "user-request", detail)
            cancelled += 1
    uow.run(_no_environments, why="its files are not part of a backup; it is built again when a job needs it")
    uow.run(_no_leases)
    return Settled(lost=lost, queued_again=queued, ended=ended, waiting=uow.scalar(_count_waiting), cancelled=cancelled)
