"""A job's run while it runs, for doing something inside it."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from dais.compute.jobs.queries import find_job
from dais.compute.jobs.records import works
from dais.compute.jobs.system import check_system
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import Work
from dais.identity import Actor
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Conflict

_latest = Statement(select(runs.c.id).where(runs.c.job_id == bindparam("job_id"), runs.c.idx == bindparam("run_index")))

_system_job = Statement(
    select(jobs).where(jobs.c.id == bindparam("job_id"), jobs.c.type == "system", jobs.c.ended_at.is_(None))
)


def running_work(uow: UnitOfWork, actor: Actor, ref: str, action: str, account: str | None = None) -> Work:
    """The latest run of a job, for doing something inside it.

    Raises NotFound, Forbidden, Conflict `not-running`, `kept-for-sessions`.
    """
    row = find_job(uow, actor, ref, account=account, action=action)
    check_system(row, "job:exec")  # whatever is asked for, it is inside
    return _latest_run(uow, row)


def system_work(uow: UnitOfWork, job_id: str) -> Work | None:
    """The run of a job of the installation, for the installation itself; None when it has ended, or is somebody's."""
    row = uow.one(_system_job, job_id=job_id)
    return None if row is None else _latest_run(uow, row)


def _latest_run(uow: UnitOfWork, row: Row) -> Work:
    run_id = uow.scalar(_latest, job_id=row.id, run_index=row.run_index)
    if run_id is None or row.state != "RUNNING":
        raise Conflict(f"job {row.id} is {row.state}, not RUNNING", code="not-running", state=row.state)
    return works(uow, [run_id])[0]
