"""Verbs on jobs that exist: kill, retry, set, remove."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, insert, update

from dais.compute.jobs import lifecycle
from dais.compute.jobs.apply import apply
from dais.compute.jobs.described import describe_tags, forget_tags
from dais.compute.jobs.lifecycle import FINAL
from dais.compute.jobs.queries import find_job, live_job_named
from dais.compute.jobs.runs import cancel
from dais.compute.jobs.submit import check_again
from dais.compute.jobs.tables import (
    job_codes,
    job_exposures,
    job_history,
    job_inputs,
    job_outputs,
    job_tags,
    jobs,
    runs,
)
from dais.compute.notify.tables import deliveries
from dais.compute.reports.tables import job_metrics, job_reports
from dais.compute.reproducing.tables import reproductions
from dais.compute.settings import ComputeSettings
from dais.identity import Actor
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict
from dais.wire.spec import JobSpec

_set = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values({name: bindparam(name) for name in ("name", "spec", "bid")})
)
_drop_tags = Statement(delete(job_tags).where(job_tags.c.job_id == bindparam("job_id")))
_insert_tag = Statement(insert(job_tags))
_delete = [
    Statement(delete(table).where(table.c.job_id == bindparam("job_id")))
    for table in (
        job_tags,
        job_history,
        deliveries,
        job_inputs,
        job_codes,
        job_outputs,
        job_exposures,
        job_reports,
        job_metrics,
        reproductions,
        runs,
    )
] + [Statement(delete(jobs).where(jobs.c.id == bindparam("job_id")))]


class JobChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `set` may change; a field left out stays. `bid` only while the job waits."""

    name: str | msgspec.UnsetType | None = msgspec.UNSET
    tags: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    bid: int | msgspec.UnsetType = msgspec.UNSET


def kill_job(uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None) -> str:
    """Ask a job to end; its id. A job that has ended stays as it is. What runs is stopped by its dispatcher."""
    row = find_job(uow, actor, ref, account=account, action="job:kill")
    cancel(uow, row.id, "user-request", f"killed by {actor.name}")
    return str(row.id)


def retry_job(uow: UnitOfWork, actor: Actor, ref: str, settings: ComputeSettings, *, account: str | None = None) -> str:
    """Put a finished job back into the queue, with the next run index; its id.

    Raises Conflict `still-alive`, `interactive-job-exists`.

    What the job uses is asked for again: whoever retries it must be allowed to use it.
    """
    row = find_job(uow, actor, ref, account=account, action="job:new")
    if row.state not in FINAL:
        raise Conflict(
            f"job {row.id} is {row.state}; only a job that has ended can be retried, kill it first",
            code="still-alive",
            state=row.state,
        )
    _refuse_taken_name(uow, row.account_id, row.id, row.name)
    check_again(uow, actor, row, settings)
    apply(uow, row.id, lifecycle.Retried(uow.now))
    return str(row.id)


def set_job(uow: UnitOfWork, actor: Actor, ref: str, change: JobChange, *, account: str | None = None) -> str:
    """Change a job's name, tags or bid; its id."""
    row = find_job(uow, actor, ref, account=account, action="job:set")
    given = {name: value for name in ("name", "tags", "bid") if (value := getattr(change, name)) is not msgspec.UNSET}
    before = msgspec.json.decode(row.spec, type=JobSpec)
    spec = msgspec.structs.replace(before, **given)
    if "bid" in given and row.state != "PENDING":
        raise Conflict(f"job {row.id} is {row.state}: its bid matters only while it waits", code="not-waiting")
    if "name" in given and row.ended_at is None:
        _refuse_taken_name(uow, row.account_id, row.id, spec.name)
    uow.run(_set, job_id=row.id, name=spec.name, bid=spec.bid, spec=msgspec.json.encode(spec).decode())
    if "tags" in given:
        uow.run(_drop_tags, job_id=row.id)
        uow.many(_insert_tag, [{"job_id": row.id, "key": k, "value": v} for k, v in spec.tags.items()])
        forget_tags(uow, actor, row.id, before.tags)
        describe_tags(uow, row.id, row.account_id, spec.tags)
    uow.emit(Event("job.changed", "job", row.id, row.account_id, dict[str, Any](given)))
    return str(row.id)


def remove_job(uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None) -> str:
    """Forget a job that has ended, its history and its logs; its id. Raises Conflict `still-alive`."""
    row = find_job(uow, actor, ref, account=account, action="job:rm")
    if row.state not in FINAL:
        raise Conflict(f"job {row.id} is {row.state}; kill it before you remove it", code="still-alive")
    for statement in _delete:
        uow.run(statement, job_id=row.id)
    uow.emit(Event("job.removed", "job", row.id, row.account_id))
    return str(row.id)


def _refuse_taken_name(uow: UnitOfWork, account_id: str, job_id: str, name: str | None) -> None:
    if name is None:
        return
    other: Row | None = live_job_named(uow, account_id, name)
    if other is not None and other.id != job_id:
        raise Conflict(
            f"a job named {name!r} is waiting or running (job {other.id}); choose another name",
            code="already-exists",
            name=name,
        )
