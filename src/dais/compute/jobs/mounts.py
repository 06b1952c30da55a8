"""Which jobs hold which folders."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from dais.compute.jobs.tables import jobs
from dais.data import Folder, remove_folder
from dais.identity import Actor
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Conflict

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


def remove_unused_folder(uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None) -> Folder:
    """`remove_folder`, refused with Conflict `folder-in-use` while a job that has not ended mounts it."""
    removed = remove_folder(uow, actor, ref, account=account)
    users = jobs_mounting(uow, removed.id)
    if users:
        raise Conflict(
            f"{len(users)} {'job mounts' if len(users) == 1 else 'jobs mount'} {removed.full_name} and "
            f"{'has' if len(users) == 1 else 'have'} not ended; wait for {users[0]}, or kill it",
            code="folder-in-use",
            jobs=users,
        )
    return removed
