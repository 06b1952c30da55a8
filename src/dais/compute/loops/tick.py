"""One tick of a resource group: everything that its dispatcher decides, in one transaction.

Records of the engine are applied, freed slots are given to the head of the queue, and what is ready is marked as
launched. What has to be done in the world is returned, and done after the commit.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import msgspec
from sqlalchemy import BigInteger, bindparam, func, select, update

from dais.compute.groups.queries import node_rows
from dais.compute.jobs import lifecycle
from dais.compute.jobs.apply import apply
from dais.compute.jobs.gpus import held_gpus, hold_gpus
from dais.compute.jobs.lifecycle import Action
from dais.compute.jobs.records import works
from dais.compute.jobs.runs import close_run, run_rows, store_facts, store_handles, store_launches
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import Work
from dais.compute.scheduler import NodeState, Snapshot, Waiting, plan
from dais.engines.contract import Handle, Phase, Status
from dais.kit.database import Row, Statement, UnitOfWork

log = logging.getLogger(__name__)

HEAD = 256
"""How many waiting jobs one tick looks at. In strict order those behind cannot start before them."""

_placed = ("SCHEDULED", "PREPARING", "RUNNING")

_queue = Statement(
    select(jobs.c.id, jobs.c.cpu_millis, jobs.c.mem, jobs.c.gpu, jobs.c.pending_reason)
    .where(jobs.c.group_name == bindparam("group"), jobs.c.state == "PENDING")
    .order_by(jobs.c.class_rank, jobs.c.bid.desc(), jobs.c.queued_at, jobs.c.number)
    .limit(HEAD)
)
_held = Statement(
    select(
        runs.c.node,
        func.sum(runs.c.cpu_millis).cast(BigInteger).label("cpu_millis"),
        func.sum(runs.c.mem).cast(BigInteger).label("mem"),
    )
    .where(runs.c.group_name == bindparam("group"), runs.c.state.in_(_placed))
    .group_by(runs.c.node)
)
_set_waiting = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"), jobs.c.state == "PENDING")
    .values(pending_reason=bindparam("why"))
)
_ready = Statement(
    select(runs.c.id)
    .where(
        runs.c.group_name == bindparam("group"),
        runs.c.state == "PREPARING",
        runs.c.prepared_at.is_not(None),
        runs.c.launched_at.is_(None),
    )
    .order_by(runs.c.prepared_at)
)
_cancelled = Statement(
    select(runs.c.id)
    .select_from(runs.join(jobs, (jobs.c.id == runs.c.job_id) & (jobs.c.run_index == runs.c.idx)))
    .where(
        runs.c.group_name == bindparam("group"),
        runs.c.state.in_(_placed),
        runs.c.launched_at.is_not(None),
        jobs.c.cancel_requested_at.is_not(None),
    )
)


class Outcome(msgspec.Struct, kw_only=True):
    """What a tick decided: runs to launch and to prepare, runs to stop, runs whose log is to be shipped."""

    launches: list[Work] = []
    preparations: list[Work] = []
    stops: list[Work] = []
    ships: list[str] = []
    empty: list[str] = []
    """Runs that ended without a word: nothing to ship, only to clean up."""
    strangers: list[Status] = []
    """Statuses of attempts that are no job's run."""


def tick(uow: UnitOfWork, group: str, statuses: Sequence[Status], handles: Sequence[tuple[str, Handle]]) -> Outcome:
    """Apply what the engine told, then start what fits. Idempotent: a status told twice changes nothing."""
    outcome = Outcome()
    store_handles(uow, handles)
    _apply_statuses(uow, statuses, outcome)
    placed = _place(uow, group)
    ready = [row.id for row in uow.all(_ready, group=group)]
    stops = [row.id for row in uow.all(_cancelled, group=group)]
    found = {work.run_id: work for work in works(uow, [*placed, *ready, *stops])}
    outcome.stops = [found[run] for run in stops]
    outcome.launches = [found[run] for run in ready]
    for work in (found[run] for run in placed):
        apply(uow, work.job_id, lifecycle.PreparationStarted())
        (outcome.preparations if needs_preparation(work) else outcome.launches).append(work)
    store_launches(uow, [work.run_id for work in outcome.launches])
    return outcome


def needs_preparation(work: Work) -> bool:
    """Whether something takes time before the launch: a source to stage, an environment to build."""
    return work.spec.source is not None


def _apply_statuses(uow: UnitOfWork, statuses: Sequence[Status], outcome: Outcome) -> None:
    rows = run_rows(uow, [status.attempt_id for status in statuses])
    seen: set[str] = set()
    for status in statuses:
        if status.attempt_id in seen:  # told by the engine and by a reconcile: it may have changed the run already
            rows |= run_rows(uow, [status.attempt_id])
        seen.add(status.attempt_id)
        row = rows.get(status.attempt_id)
        if row is None:
            outcome.strangers.append(status)
            continue
        if row.shipped_at is not None:
            continue
        store_facts(uow, status)
        ended = status.phase in (Phase.ENDED, Phase.LOST)
        if row.idx == row.run_index:  # else an older run of a job that has gone on
            try:
                applied = apply(uow, row.job_id, *_events(row, status))
            except lifecycle.Impossible:
                log.exception("what the engine says of run %s is left aside: all other jobs must go on", row.id)
                continue
            ended = Action.SHIP in applied.actions
        if not ended:
            continue
        if status.log_bytes or status.phase == Phase.LOST:  # who lost it does not know what it had printed
            outcome.ships.append(row.id)
        else:
            close_run(uow, row.id, [])
            outcome.empty.append(row.id)


def _events(row: Row, status: Status) -> list[lifecycle.Event]:
    """The engine's word as events of the job's life; a start that was never told comes before the end."""
    events: list[lifecycle.Event] = []
    if status.started_at is not None and row.started_at is None and status.phase != Phase.LOST:
        events.append(lifecycle.Started(status.started_at))
    if status.phase == Phase.ENDED:
        events.append(
            lifecycle.Ended(
                reason=status.reason or "exit-code",
                at=status.ended_at or status.started_at or 0,
                exit_code=status.exit_code,
                signal=status.signal,
                detail=status.detail,
                stop_reason=status.stop_reason,
            )
        )
    elif status.phase == Phase.LOST:
        events.append(lifecycle.Lost(status.ended_at or 0, status.detail or "the node that ran it died"))
    return events


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision is made from, what each waiting job was last told, and the free GPUs of each node by UUID."""

    snapshot: Snapshot
    told: dict[str, str | None] = {}
    free_gpus: dict[str, list[str]] = {}


def look(uow: UnitOfWork, group: str) -> Seen:
    """The head of the queue and the free slots."""
    waiting = uow.all(_queue, group=group)
    if not waiting:
        return Seen(snapshot=Snapshot(queue=(), nodes=(), now=uow.now))
    held = {row.node: row for row in uow.all(_held, group=group)}
    nodes = []
    rows = node_rows(uow, group)
    gpus: dict[str, list[str]] = {row.name: msgspec.json.decode(row.gpus) for row in rows}
    free_gpus: dict[str, list[str]] = {}
    if any(gpus.values()):
        taken = held_gpus(uow)
        free_gpus = {name: [one for one in uuids if (name, one) not in taken] for name, uuids in gpus.items()}
    for node in rows:
        used = held.get(node.name)
        nodes.append(
            NodeState(
                name=node.name,
                cpu_millis=node.cpu_millis,
                mem=node.mem,
                gpu=len(gpus[node.name]),
                free_cpu_millis=node.cpu_millis - (used.cpu_millis if used else 0),
                free_mem=node.mem - (used.mem if used else 0),
                free_gpu=len(free_gpus.get(node.name, ())),
            )
        )
    queue = tuple(Waiting(job_id=r.id, cpu_millis=r.cpu_millis, mem=r.mem, gpu=r.gpu) for r in waiting)
    return Seen(
        snapshot=Snapshot(queue=queue, nodes=tuple(nodes), now=uow.now),
        told={r.id: r.pending_reason for r in waiting},
        free_gpus=free_gpus,
    )


def _place(uow: UnitOfWork, group: str) -> list[str]:
    """Give slots to the head of the queue; the runs that were made."""
    seen = look(uow, group)
    if not seen.snapshot.queue:
        return []
    decided = plan(seen.snapshot)
    changed = [{"job_id": job, "why": why} for job, why in decided.waits.items() if seen.told[job] != why]
    uow.many(_set_waiting, changed)
    wanted = {job.job_id: job.gpu for job in seen.snapshot.queue if job.gpu} if seen.free_gpus else {}
    placed = []
    for start in decided.starts:
        applied = apply(uow, start.job_id, lifecycle.Placed(start.node))
        assert applied.run_id is not None
        if count := wanted.get(start.job_id):
            free = seen.free_gpus[start.node]
            hold_gpus(uow, applied.run_id, start.node, free[:count])
            del free[:count]
        placed.append(applied.run_id)
    return placed
