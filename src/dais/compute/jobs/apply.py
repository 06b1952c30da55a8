"""Writes what `lifecycle.step` decides: the only module that stores a job's or a run's state.

What happens to many jobs at once is read with one statement and written with one for each table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, insert, select, update

from dais.compute.jobs import lifecycle
from dais.compute.jobs.gpus import release_gpus
from dais.compute.jobs.lifecycle import Action, Life, RunState, State
from dais.compute.jobs.tables import job_history, jobs, runs
from dais.compute.notify.outbox import tell_ends
from dais.kit.database import Event, Row, Statement, UnitOfWork, in_list
from dais.kit.errors import NotFound
from dais.kit.ids import new_id

_life_columns = (
    "state",
    "run_index",
    "reason",
    "detail",
    "exit_code",
    "signal",
    "cancel_reason",
    "cancel_requested_at",
    "started_at",
    "ended_at",
)

_select = Statement(
    select(
        jobs.c.id,
        jobs.c.number,
        jobs.c.account_id,
        jobs.c.group_name,
        jobs.c.restartable,
        jobs.c.cpu_millis,
        jobs.c.mem,
        jobs.c.gpu,
        jobs.c.queued_at,
        *(jobs.c[name] for name in _life_columns),
        runs.c.id.label("run_id"),
        runs.c.state.label("run_state"),
        runs.c.node,
    )
    .select_from(jobs.outerjoin(runs, (runs.c.job_id == jobs.c.id) & (runs.c.idx == jobs.c.run_index)))
    .where(in_list(jobs.c.id, "job_ids"))
    .order_by(jobs.c.number)
    .with_for_update(of=jobs)
)
_update_job = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values({name: bindparam(name) for name in (*_life_columns, "queued_at", "pending_reason")})
)
_run_columns = (
    "id", "job_id", "idx", "group_name", "node", "state", "cpu_millis", "mem", "gpu", "created_at", "launched_at",
)  # fmt: skip
_insert_run = Statement(insert(runs).values({name: bindparam(name) for name in _run_columns}))
FACTS = ("isolation", "missing", "memory_peak", "cpu_micros", "log_bytes", "log_truncated")
"""Columns of a run that its engine measures, of which only what is known is written."""
_facts: dict[str, Any] = {name: func.coalesce(bindparam(name), runs.c[name]) for name in FACTS}
_no_facts: dict[str, Any] = dict.fromkeys(FACTS)
_shipped = ("shipped_at", "log_segments")
_update_run = Statement(
    update(runs)
    .where(runs.c.id == bindparam("run_id"))
    .values(
        {
            name: bindparam(name)
            for name in ("state", "node", "reason", "detail", "exit_code", "signal", "started_at", "ended_at")
        }
        | _facts
        | {name: func.coalesce(runs.c[name], bindparam(name)) for name in _shipped}
    )
)
_update_facts = Statement(update(runs).where(runs.c.id == bindparam("run_id")).values(_facts))
_insert_history = Statement(insert(job_history))
_story = Statement(
    select(job_history.c.state).where(job_history.c.job_id == bindparam("job_id")).order_by(job_history.c.id)
)


class Applied(msgspec.Struct, frozen=True):
    """The job after an event, the run that the event was about, and what must be done."""

    life: Life
    run_id: str | None
    actions: tuple[Action, ...]
    changed: bool


def begin(uow: UnitOfWork, job_id: str, account_id: str) -> None:
    """Record the birth of a job that has just been inserted as PENDING."""
    writing, life = _Writing(), Life(state=State.PENDING)
    writing.remember(uow, job_id, life)
    for line in writing.history:
        uow.later(_insert_history, line)
    writing.tell(uow, job_id, account_id, life)
    uow.hint("scheduler")


def apply(uow: UnitOfWork, job_id: str, *events: lifecycle.Event) -> Applied:
    """Let events happen to a job, in order, in this unit of work.

    Raises NotFound `no-such-job` and, with nothing written, `lifecycle.Impossible`. The caller carries out the actions
    after the commit.
    """
    applied = apply_all(uow, {job_id: events}).get(job_id)
    if applied is None:
        raise NotFound(f"there is no job {job_id}", code="no-such-job", job=job_id)
    if isinstance(applied, lifecycle.Impossible):
        raise applied
    return applied


def apply_all(
    uow: UnitOfWork,
    happened: Mapping[str, Sequence[lifecycle.Event]],
    *,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    launched: Collection[str] = (),
) -> dict[str, Applied | lifecycle.Impossible]:
    """Let events happen to many jobs, to each its own in order; what comes of each, by job. Unknown ones are left out.

    A job to which one of its events cannot happen gets `Impossible`, and nothing of it is written; the others go on.
    `facts` (by run, of FACTS) are written with what happens to the runs. Runs that are made for the jobs in `launched`
    are handed to their engine in this very tick.
    """
    outcome: dict[str, Applied | lifecycle.Impossible] = {}
    writing = _Writing(dict(facts or {}), launched)
    if not happened:
        writing.flush(uow)
        return outcome
    for row in uow.all(_select, job_ids=list(happened)):
        try:
            outcome[row.id] = applied = _apply(uow, row, happened[row.id], writing)
        except lifecycle.Impossible as error:
            outcome[row.id] = error
            continue
        if applied.actions or applied.life.state in lifecycle.FINAL:
            uow.hint("scheduler")
    writing.flush(uow)
    return outcome


def _apply(uow: UnitOfWork, row: Row, events: Sequence[lifecycle.Event], writing: _Writing) -> Applied:
    before = life = _life(row)
    actions: list[Action] = []
    steps: list[tuple[Life, Life]] = []
    for event in events:  # all of them first: of what cannot happen nothing is written
        try:
            after, more = lifecycle.step(life, event)
        except lifecycle.Impossible as error:
            story = tuple(line.state for line in uow.all(_story, job_id=row.id))
            raise lifecycle.Impossible(msgspec.structs.replace(error.job, story=story), event) from None
        steps.append((life, after))
        actions.extend(more)
        life = after
    run_id = row.run_id
    told: Life | None = None
    shipped = any(type(event) is lifecycle.Shipped for event in events)
    for earlier, after in steps:
        if after != earlier:
            run_id = writing.run(uow, row, run_id, earlier, after, shipped=shipped)
        if after.state != earlier.state or after.cancel_reason != earlier.cancel_reason:
            told = after
            writing.remember(uow, row.id, after)
    if told is not None:
        writing.tell(uow, row.id, row.account_id, told)
    if life != before:
        writing.job(uow, row, before, life)
    if life.state in lifecycle.FINAL and before.state not in lifecycle.FINAL:
        writing.ends[row.id] = life
    return Applied(life, run_id, tuple(dict.fromkeys(actions)), life != before)


def _life(row: Row) -> Life:
    return Life(
        state=State(row.state),
        run_index=row.run_index,
        run_state=RunState(row.run_state) if row.run_state else None,
        restartable=bool(row.restartable),
        node=row.node,
        reason=row.reason,
        detail=row.detail,
        exit_code=row.exit_code,
        signal=row.signal,
        cancel_reason=row.cancel_reason,
        cancel_requested_at=row.cancel_requested_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


@dataclass
class _Writing:
    """What is to be written, by table; runs by their ids, so that of several states of one the last is written."""

    facts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    launched: Collection[str] = ()
    jobs: list[dict[str, Any]] = field(default_factory=list)
    new_runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    ends: dict[str, Life] = field(default_factory=dict)

    def flush(self, uow: UnitOfWork) -> None:
        uow.many(_insert_run, self.new_runs.values())
        for run_id, values in self.runs.items():
            values |= self.facts.pop(run_id, _no_facts)
        uow.many(_update_run, self.runs.values())
        uow.many(_update_facts, [{"run_id": run_id, **facts} for run_id, facts in self.facts.items()])
        uow.many(_update_job, self.jobs)
        uow.many(_insert_history, self.history)
        tell_ends(uow, self.ends)

    def job(self, uow: UnitOfWork, row: Row, before: Life, life: Life) -> None:
        values: dict[str, Any] = {name: getattr(life, name) for name in _life_columns}
        queued_again = life.state == State.PENDING and before.state != State.PENDING
        values |= {
            "job_id": row.id,
            "state": str(life.state),
            "queued_at": uow.now if queued_again else row.queued_at,
            "pending_reason": None,
        }
        self.jobs.append(values)

    def run(
        self, uow: UnitOfWork, row: Row, run_id: str | None, before: Life, after: Life, *, shipped: bool
    ) -> str | None:
        """The run that `before` was about; a placement makes a new one. `shipped`: nothing of its log is left there."""
        if after.run_index == before.run_index and before.state == State.PENDING and after.state == State.SCHEDULED:
            new = new_id()
            self.new_runs[new] = {
                "id": new,
                "job_id": row.id,
                "idx": after.run_index,
                "group_name": row.group_name,
                "node": after.node,
                "state": str(after.run_state),
                "cpu_millis": row.cpu_millis,
                "mem": row.mem,
                "gpu": row.gpu,
                "created_at": uow.now,
                "launched_at": uow.now if row.id in self.launched else None,
            }
            return new
        if run_id is None or before.state in lifecycle.FINAL or before.state == State.PENDING:
            return run_id
        if run_id in self.new_runs and after.state == State.PREPARING:
            self.new_runs[run_id]["state"] = str(after.run_state)
            return run_id
        if after.run_index != before.run_index:  # requeued: the old run keeps how it ended
            after = msgspec.structs.replace(after, started_at=before.started_at, ended_at=uow.now)
        ended = after.run_state not in (RunState.SCHEDULED, RunState.PREPARING, RunState.RUNNING)
        self.runs[run_id] = {
            "run_id": run_id,
            "state": str(after.run_state),
            "node": after.node or before.node,
            "reason": after.reason if ended else None,
            "detail": after.detail if ended else None,
            "exit_code": after.exit_code,
            "signal": after.signal,
            "started_at": after.started_at,
            "ended_at": (after.ended_at or uow.now) if ended else None,
            "shipped_at": uow.now if shipped else None,
            "log_segments": "[]" if shipped else None,
        }
        if ended and row.gpu:
            release_gpus(uow, run_id)
        return run_id

    def remember(self, uow: UnitOfWork, job_id: str, life: Life) -> None:
        """A line of the job's history."""
        uow.tally("job_changes", str(life.state), life.reason or "")
        self.history.append(
            {
                "id": new_id(),
                "job_id": job_id,
                "at": uow.now,
                "run_index": life.run_index,
                "state": str(life.state),
                "reason": life.reason,
                "detail": life.detail,
            }
        )

    def tell(self, uow: UnitOfWork, job_id: str, account_id: str, life: Life) -> None:
        """The event, for those who follow. States that pass within one transaction were never to be seen."""
        data = {"state": str(life.state), "run": life.run_index, "reason": life.reason}
        uow.emit(Event("job.state", "job", job_id, account_id, data))
