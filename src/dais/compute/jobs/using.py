"""Which jobs use versions of files and file sets. What a job used is kept with it, so that it can be run again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from dais.compute.jobs.tables import job_codes, job_inputs, jobs
from dais.data import remove_file, remove_file_set
from dais.identity import Actor
from dais.kit.database import Statement, UnitOfWork, in_list

SHOWN = 5
"""Jobs that a refusal names."""

_reading = Statement(
    select(jobs.c.number)
    .select_from(jobs.join(job_inputs, job_inputs.c.job_id == jobs.c.id))
    .where(in_list(job_inputs.c.set_version_id, "ids"))
    .distinct()
    .order_by(jobs.c.number)
    .limit(SHOWN)
)
_running_code = Statement(
    select(jobs.c.number)
    .select_from(jobs.join(job_codes, job_codes.c.job_id == jobs.c.id))
    .where(in_list(job_codes.c.file_version_id, "ids"))
    .order_by(jobs.c.number)
    .limit(SHOWN)
)


def remove_unused_file_set(uow: UnitOfWork, actor: Actor, name: str, *, account: str | None = None) -> int:
    """`remove_file_set`, refused with Conflict `in-use` while there is a job that reads it, whether or not it ended."""
    return remove_file_set(uow, actor, name, account=account, users=_jobs_reading)


def remove_unused_file(uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None) -> int:
    """`remove_file`, refused with Conflict `in-use` while there is a job with this code, whether or not it ended."""
    return remove_file(uow, actor, ref, account=account, users=_jobs_running)


def _jobs_reading(uow: UnitOfWork, ids: Sequence[str]) -> list[str]:
    return [f"job {row.number}" for row in uow.all(_reading, ids=list(ids))]


def _jobs_running(uow: UnitOfWork, ids: Sequence[str]) -> list[str]:
    return [f"job {row.number}" for row in uow.all(_running_code, ids=list(ids))]
