"""What `/metrics` tells of jobs: counted with indexes that finished jobs are not in, so that it stays cheap."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from dais.compute.code.warm import pool_figures
from dais.compute.jobs.tables import jobs
from dais.kit.clock import SECOND
from dais.kit.database import Statement, UnitOfWork

LIVE = ("PENDING", "SCHEDULED", "PREPARING", "RUNNING", "FINISHING")

_states = Statement(
    select(jobs.c.group_name, jobs.c.state, func.count().label("count"), func.min(jobs.c.queued_at).label("oldest"))
    .where(jobs.c.state.in_(LIVE))
    .group_by(jobs.c.group_name, jobs.c.state)
)


@dataclass(frozen=True)
class Figures:
    """Live jobs by group and state, how many seconds the oldest of each group's queue has waited, warm sandboxes."""

    jobs: dict[tuple[str, str], int]
    waited: dict[str, float]
    warm: dict[str, int]


def figures(uow: UnitOfWork) -> Figures:
    """How many jobs are live now, by group and state."""
    rows = uow.all(_states)
    return Figures(
        {(row.group_name, row.state): row.count for row in rows},
        {row.group_name: max(0, uow.now - row.oldest) / SECOND for row in rows if row.state == "PENDING"},
        pool_figures(uow),
    )
