"""Which jobs hold which folders."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from dais.compute.jobs.tables import jobs
from dais.kit.database import Statement, UnitOfWork

# The mounts of the few jobs that live are searched as text: ids are all of one length and nothing else contains them.
_mounting = Statement(
    select(jobs.c.id)
    .where(jobs.c.ended_at.is_(None), jobs.c.mounts.like(bindparam("pattern")))
    .order_by(jobs.c.id)
    .limit(100)
)


def jobs_mounting(uow: UnitOfWork, folder_id: str) -> list[str]:
    """The ids of jobs that mount a folder and have not ended; at most 100."""
    return [row.id for row in uow.all(_mounting, pattern=f'%"{folder_id}"%')]
