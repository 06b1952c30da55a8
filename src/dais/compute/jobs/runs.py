"""Facts of runs, beside their state: handle, launch, environment, what the engine measured, where the log is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update

from dais.compute.jobs import lifecycle
from dais.compute.jobs.apply import apply
from dais.compute.jobs.lifecycle import Action, Life, State
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import Segment
from dais.engines.contract import Handle, Status
from dais.kit.database import Row, Statement, UnitOfWork, in_list

_select = Statement(
    select(
        runs.c.id,
        runs.c.job_id,
        runs.c.idx,
        runs.c.state,
        runs.c.node,
        runs.c.cpu_millis,
        runs.c.mem,
        runs.c.started_at,
        runs.c.ended_at,
        runs.c.launched_at,
        runs.c.shipped_at,
        runs.c.handle,
        jobs.c.run_index,
        jobs.c.pins,
        jobs.c.state.label("job_state"),
    )
    .select_from(runs.join(jobs, jobs.c.id == runs.c.job_id))
    .where(in_list(runs.c.id, "ids"))
)
_set_handle = Statement(update(runs).where(runs.c.id == bindparam("run_id")).values(handle=bindparam("handle")))
_set_launched = Statement(update(runs).where(runs.c.id == bindparam("run_id")).values(launched_at=bindparam("at")))
_set_shipped = Statement(
    update(runs)
    .where(runs.c.id == bindparam("run_id"), runs.c.shipped_at.is_(None))
    .values(shipped_at=bindparam("at"), log_segments=bindparam("segments"))
)
_set_prepared = Statement(
    update(runs)
    .where(runs.c.id == bindparam("run_id"), runs.c.state == "PREPARING", runs.c.launched_at.is_(None))
    .values(prepared_at=bindparam("at"))
)
_set_environment = Statement(
    update(runs).where(runs.c.id == bindparam("run_id")).values(environment_id=bindparam("environment_id"))
)


def run_rows(uow: UnitOfWork, run_ids: Sequence[str]) -> dict[str, Row]:
    """The runs with these ids and their jobs' state, by id."""
    return {row.id: row for row in uow.all(_select, ids=list(run_ids))} if run_ids else {}


def store_handles(uow: UnitOfWork, handles: Iterable[tuple[str, Handle]]) -> None:
    """Keep what a restarted server needs to find the runs again."""
    uow.many(_set_handle, [{"run_id": run, "handle": msgspec.json.encode(handle).decode()} for run, handle in handles])


def store_launches(uow: UnitOfWork, run_ids: Iterable[str]) -> None:
    """From this commit on the engine may know these runs."""
    uow.many(_set_launched, [{"run_id": run, "at": uow.now} for run in run_ids])


def facts_of(status: Status) -> dict[str, Any]:
    """What the engine measured, as `apply.FACTS` stores it."""
    return {
        "isolation": msgspec.json.encode(status.isolation).decode() if status.isolation else None,
        "missing": msgspec.json.encode(status.missing).decode() if status.missing else None,
        "memory_peak": status.memory_peak,
        "cpu_micros": None if status.cpu_seconds is None else int(status.cpu_seconds * 1e6),
        "log_bytes": status.log_bytes,
        "log_truncated": int(status.log_truncated),
    }


def store_shipped(uow: UnitOfWork, run_ids: Iterable[str]) -> None:
    """These runs printed nothing: there is no log to ship."""
    uow.many(_set_shipped, [{"run_id": run, "at": uow.now, "segments": "[]"} for run in run_ids])


def store_environment(uow: UnitOfWork, run_id: str, environment_id: str) -> None:
    """The environment that the run uses, or waits for."""
    uow.run(_set_environment, run_id=run_id, environment_id=environment_id)


def mark_prepared(uow: UnitOfWork, run_id: str) -> bool:
    """Everything is staged: the next tick launches it. False when the run has ended in the meantime."""
    uow.hint("scheduler")
    return bool(uow.run(_set_prepared, run_id=run_id, at=uow.now))


def fail_preparation(uow: UnitOfWork, run_id: str, reason: str, detail: str) -> bool:
    """What the run needs cannot be had. False when it has ended, or been launched, in the meantime."""
    row = run_rows(uow, [run_id]).get(run_id)
    if row is None or row.idx != row.run_index or row.launched_at is not None:
        return False
    if row.job_state not in (State.SCHEDULED, State.PREPARING):
        return False
    apply(uow, row.job_id, lifecycle.PreparationFailed(reason, detail))
    close_run(uow, run_id, [])
    return True


def close_run(uow: UnitOfWork, run_id: str, segments: Sequence[Segment]) -> bool:
    """The run's log is safe in the blob store: say so, and let its job reach its final state.

    False when that was done before.
    """
    encoded = msgspec.json.encode(segments).decode()
    if not uow.run(_set_shipped, run_id=run_id, at=uow.now, segments=encoded):
        return False
    row = run_rows(uow, [run_id])[run_id]
    if row.idx == row.run_index and row.job_state == State.FINISHING:
        apply(uow, row.job_id, lifecycle.Shipped(uow.now))
    return True


def lose(uow: UnitOfWork, row: Row, detail: str, segments: Sequence[Segment]) -> Life | None:
    """Nobody will ever tell more of a run, of which `segments` are what was saved of its log.

    `row` has its id, job_id and idx, and the job's run_index and state. The job as it is then, if this was what it did.
    """
    life = None
    if row.idx == row.run_index and row.state in lifecycle.PLACED:
        life = apply(uow, row.job_id, lifecycle.Lost(uow.now, detail)).life
    close_run(uow, row.id, segments)
    return life


def cancel(uow: UnitOfWork, job_id: str, reason: str, detail: str) -> None:
    """Let a job end for `reason`: at once when nothing of it was launched, else its dispatcher stops it."""
    applied = apply(uow, job_id, lifecycle.CancelRequested(reason, uow.now, detail))
    if Action.STOP in applied.actions and applied.run_id is not None:
        fail_preparation(uow, applied.run_id, reason, detail)
