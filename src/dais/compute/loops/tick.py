"""One tick of a resource group: everything that its dispatcher decides, in one transaction.

Records of the engine are applied, freed slots are given to the head of the queue, and what is ready is marked as
launched. What has to be done in the world is returned, and done after the commit.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, select, update

from dais.compute.code.warm import give_up
from dais.compute.groups.held import NO_SLOTS, counted_gpus, held_slots, lock_machines
from dais.compute.groups.queries import node_rows
from dais.compute.images.tables import images
from dais.compute.jobs import lifecycle
from dais.compute.jobs.apply import apply_all
from dais.compute.jobs.gpus import held_gpus, hold_gpus, note_gpus
from dais.compute.jobs.lifecycle import Action, State
from dais.compute.jobs.pins import decode_pins
from dais.compute.jobs.records import ITS_IMAGE, JOB_COLUMNS, People, new_work, works
from dais.compute.jobs.runs import facts_of, run_rows, store_handles, store_launches, store_shipped
from dais.compute.jobs.tables import is_waiting, jobs, runs
from dais.compute.jobs.types import Work
from dais.compute.scheduler import BEHIND, NodeState, Plan, Snapshot, Waiting, plan
from dais.engines.contract import Handle, Phase, Slots, Status
from dais.kit.clock import SECOND
from dais.kit.database import Row, Statement, UnitOfWork

log = logging.getLogger(__name__)

HEAD = 32
"""How many waiting jobs are looked at together. In strict order those behind cannot start before them."""
MOST_STARTS = 256
"""How many jobs one tick starts, about."""

SHORT = SECOND
"""A run that takes less (µs) is likely to be followed by others that do, too."""
AHEAD = 2
"""For each run that was so short, how many are handed over ahead, beside the one that takes its place."""

_placed = ("SCHEDULED", "PREPARING", "RUNNING")

_queue = Statement(
    select(jobs.c.cpu_millis, jobs.c.mem, jobs.c.gpu, jobs.c.type, jobs.c.pending_reason, *JOB_COLUMNS)
    .select_from(jobs.outerjoin(images, ITS_IMAGE))
    .where(jobs.c.group_name == bindparam("group"), is_waiting)
    .order_by(jobs.c.class_rank, jobs.c.bid.desc(), jobs.c.queued_at, jobs.c.number)
    .limit(HEAD)
)
_inside = Statement(
    select(runs.c.job_id, runs.c.cpu_millis, runs.c.mem, runs.c.gpu)
    .where(runs.c.group_name == bindparam("group"), runs.c.state.in_(("SCHEDULED", "PREPARING")))
    .order_by(runs.c.created_at, runs.c.id)
)
_set_waiting = Statement(
    update(jobs).where(jobs.c.id == bindparam("job_id"), is_waiting).values(pending_reason=bindparam("why"))
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


class _Sourced(msgspec.Struct):
    """What of a spec matters here."""

    source: str | None = None


_source = msgspec.json.Decoder(_Sourced).decode


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
    overrun: list[str] = []
    """Runs that are over here, and go on there: they were lost, or given up."""
    returned: dict[str, Slots] = {}
    """By node, the slots of runs that were over within a moment, AHEAD times."""


def tick(
    uow: UnitOfWork,
    group: str,
    statuses: Sequence[Status],
    handles: Sequence[tuple[str, Handle]],
    *,
    backfills: bool = False,
    lookahead: int | None = None,
    away: str | None = None,
) -> Outcome:
    """Apply what the engine told, then start what fits. Idempotent: a status told twice changes nothing.

    `lookahead` is for an engine with a queue of its own, `away` why nothing can be started now (see `Snapshot`).

    An engine that `backfills` is given work ahead: the slots that short runs gave back are given out AHEAD times more,
    so that the next run starts as soon as one ends, without a round through here. Long runs are not followed by any
    that wait with the engine, where no priority reaches them.
    """
    outcome = Outcome()
    _apply_statuses(uow, statuses, outcome)
    over = set(outcome.empty)  # nobody will ask for these again
    store_handles(uow, [(run, handle) for run, handle in handles if run not in over])
    ready = [row.id for row in uow.all(_ready, group=group)]
    store_launches(uow, ready)
    stops = [row.id for row in uow.all(_cancelled, group=group)]
    found = {work.run_id: work for work in works(uow, [*ready, *stops])}
    outcome.stops = [found[run] for run in stops]
    outcome.launches = [found[run] for run in ready]
    state = EngineState(ahead=outcome.returned if backfills else {}, lookahead=lookahead, away=away)
    _place(uow, group, state, outcome)
    return outcome


def needs_preparation(work: Work) -> bool:
    """Whether something takes time before the launch: an image to look for, files to stage, an environment."""
    return work.spec.source is not None or work.image_id is not None or work.pins.staged


def _needs_preparation(row: Row) -> bool:
    """The same of a waiting job, whose spec need not be decoded for it: what is not set is not written."""
    if row.image_id is not None or (row.pins is not None and decode_pins(row.pins).staged):
        return True
    return '"source":' in row.spec and _source(row.spec).source is not None


def _apply_statuses(uow: UnitOfWork, statuses: Sequence[Status], outcome: Outcome) -> None:
    """All of them together; one that is told by the engine and by a reconcile, too, after what was told first."""
    rest = _without_overtaken(statuses)
    while rest:
        first = {status.attempt_id: status for status in reversed(rest)}
        _apply_once(uow, first, outcome)
        rest = [status for status in rest if first[status.attempt_id] is not status]


def _without_overtaken(statuses: Sequence[Status]) -> list[Status]:
    """Leave out that a run runs where it is also told how it ended: an end tells when it had begun, and where."""
    ends = {status.attempt_id: status for status in statuses if status.phase == Phase.ENDED}

    def overtaken(status: Status) -> bool:
        end = ends.get(status.attempt_id)
        return (
            end is not None
            and status.phase == Phase.RUNNING
            and (status.started_at, status.isolation, status.missing, status.node)
            == (end.started_at, end.isolation, end.missing, end.node)
        )

    return [status for status in statuses if not overtaken(status)]


def _apply_once(uow: UnitOfWork, statuses: Mapping[str, Status], outcome: Outcome) -> None:
    rows = run_rows(uow, list(statuses))
    outcome.strangers += [status for status in statuses.values() if status.attempt_id not in rows]
    news = [(rows[run], status) for run, status in statuses.items() if run in rows and rows[run].shipped_at is None]
    outcome.overrun += [
        run
        for run, status in statuses.items()
        if status.phase is Phase.RUNNING
        and run in rows
        and (rows[run].shipped_at is not None or rows[run].idx != rows[run].run_index)
    ]
    latest = {row.job_id: _events(uow, row, status) for row, status in news if row.idx == row.run_index}
    applied = apply_all(uow, latest, facts={row.id: facts_of(status) for row, status in news})
    closed: list[str] = []
    for row, status in news:
        ended = status.phase in (Phase.ENDED, Phase.LOST)
        if row.idx == row.run_index:  # else an older run of a job that has gone on
            what = applied[row.job_id]
            if isinstance(what, lifecycle.Impossible):
                log.error("what the engine says of run %s is left aside: all others must go on", row.id, exc_info=what)
                continue
            ended = Action.SHIP in what.actions
        if ended and _was_short(row, status):
            before = outcome.returned.get(row.node, Slots())
            outcome.returned[row.node] = Slots(
                cpu_millis=before.cpu_millis + AHEAD * row.cpu_millis, memory=before.memory + AHEAD * row.mem
            )
        if ended and (_has_log(status) or _has_files(row)):
            outcome.ships.append(row.id)
        elif ended:
            outcome.empty.append(row.id)
            if not _closes(row, status):
                closed.append(row.id)
    store_shipped(uow, closed)


def _was_short(row: Row, status: Status) -> bool:
    """Whether a run that has ended ran for less than SHORT."""
    started = status.started_at or row.started_at
    return started is not None and status.ended_at is not None and status.ended_at - started < SHORT


def _has_log(status: Status) -> bool:
    """Whether a log may have to be shipped: who lost it does not know what it had printed."""
    return status.log_bytes > 0 or status.phase == Phase.LOST


def _has_files(row: Row) -> bool:
    """Whether what the run wrote becomes a file set."""
    return row.pins is not None and decode_pins(row.pins).output is not None


def _closes(row: Row, status: Status) -> bool:
    """Whether with this end the run is over and done with: nothing has to be shipped."""
    runs_now = row.idx == row.run_index and row.job_state in (State.PREPARING, State.RUNNING)
    return runs_now and status.phase == Phase.ENDED and not _has_log(status) and not _has_files(row)


def _events(uow: UnitOfWork, row: Row, status: Status) -> list[lifecycle.Event]:
    """The engine's word as events of the job's life.

    A start that was never told comes before the end; where nothing was printed, nothing has to be shipped after it.
    """
    events: list[lifecycle.Event] = []
    if status.started_at is not None and row.started_at is None and status.phase != Phase.LOST:
        events.append(lifecycle.Started(status.started_at, status.node))
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
        if _closes(row, status):
            events.append(lifecycle.Shipped(uow.now))
    elif status.phase == Phase.LOST:
        events.append(lifecycle.Lost(status.ended_at or 0, status.detail or "the node that ran it died"))
    return events


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick is told of its engine: slots that are given out ahead, by node; and as `Snapshot` says."""

    ahead: Mapping[str, Slots] = {}
    lookahead: int | None = None
    away: str | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision is made from, the rows of the waiting jobs, and the GPUs of each node that can be given, by UUID.

    Where the engine has a queue of its own they are only counted: which of them a job gets is up to the engine.
    """

    snapshot: Snapshot
    rows: dict[str, Any] = {}
    gpus: dict[str, list[str]] = {}


def look(uow: UnitOfWork, group: str, state: EngineState | None = None) -> Seen:
    """The head of the queue and the free slots."""
    state = state or EngineState()
    waiting = uow.all(_queue, group=group)
    if not waiting:
        return Seen(snapshot=Snapshot(queue=(), nodes=(), now=uow.now))
    queues = state.lookahead is not None
    rows = node_rows(uow, group)
    held = held_slots(uow, but_starting_in=group if queues else None)
    gpus: dict[str, list[str]] = {row.name: msgspec.json.decode(row.gpus) for row in rows}
    taken = held_gpus(uow) if any(gpus.values()) else set()
    given: dict[str, list[str]] = {}
    nodes = []
    for node in rows:
        used = held.get(node.name, NO_SLOTS)
        more = state.ahead.get(node.name, Slots())
        free = [one for one in gpus[node.name] if (node.name, one) not in taken]
        given[node.name] = gpus[node.name] if queues else free
        nodes.append(
            NodeState(
                name=node.name,
                cpu_millis=node.cpu_millis,
                mem=node.mem,
                gpu=len(gpus[node.name]),
                free_cpu_millis=max(0, node.cpu_millis - node.others_cpu_millis - used.cpu_millis + more.cpu_millis),
                free_mem=max(0, node.mem - node.others_mem - used.mem + more.memory),
                free_gpu=max(0, len(free) - node.others_gpu - counted_gpus(used, node.name, taken)),
                full=node.no_room,
            )
        )
    snapshot = Snapshot(
        queue=_waiting(waiting),
        nodes=tuple(nodes),
        now=uow.now,
        away=state.away,
        lookahead=state.lookahead,
        inside=_waiting(uow.all(_inside, group=group)) if queues else (),
    )
    return Seen(snapshot=snapshot, rows={r.job_id: r for r in waiting}, gpus=given)


def _waiting(rows: Sequence[Row]) -> tuple[Waiting, ...]:
    return tuple(Waiting(job_id=r.job_id, cpu_millis=r.cpu_millis, mem=r.mem, gpu=r.gpu) for r in rows)


def _place(uow: UnitOfWork, group: str, state: EngineState, outcome: Outcome) -> None:
    """Give slots to the head of the queue, and go on while all of it starts."""
    lock_machines(uow)
    for _ in range(MOST_STARTS // HEAD):
        seen = look(uow, group, state)
        decided = plan(seen.snapshot)
        _tell_waiting(uow, seen, decided)
        _start(uow, seen, decided, outcome)
        if any(seen.rows[job].type != "system" for job in decided.waits):
            give_up(uow, group, {node.name for node in seen.snapshot.nodes})
        if len(decided.starts) < HEAD:
            return


def _tell_waiting(uow: UnitOfWork, seen: Seen, decided: Plan) -> None:
    """Write why jobs wait, where that has changed. What is not written waits for those before it, as nearly all do."""
    reasons = {job: None if why == BEHIND else why for job, why in decided.waits.items()}
    changed = [{"job_id": job, "why": why} for job, why in reasons.items() if seen.rows[job].pending_reason != why]
    uow.many(_set_waiting, changed)


def _start(uow: UnitOfWork, seen: Seen, decided: Plan, outcome: Outcome) -> None:
    if not decided.starts:
        return
    rows = [seen.rows[start.job_id] for start in decided.starts]
    begun = {start.job_id: (lifecycle.Placed(start.node), lifecycle.PreparationStarted()) for start in decided.starts}
    applied_to = apply_all(uow, begun, launched={row.job_id for row in rows if not _needs_preparation(row)})
    people = People(uow, rows)
    wanted = {job.job_id: job.gpu for job in seen.snapshot.queue if job.gpu}
    for start, row in zip(decided.starts, rows, strict=True):
        applied = applied_to[start.job_id]
        if isinstance(applied, lifecycle.Impossible):
            raise applied
        assert applied.run_id is not None
        gpus: tuple[str, ...] = ()
        if count := wanted.get(start.job_id):
            gpus = tuple(seen.gpus[start.node][:count])
            if seen.snapshot.lookahead is None:
                hold_gpus(uow, applied.run_id, start.node, gpus)
                del seen.gpus[start.node][:count]
            else:
                note_gpus(uow, applied.run_id, gpus)
        life = applied.life
        work = new_work(
            row,
            people,
            run_id=applied.run_id,
            run_index=life.run_index,
            node=start.node,
            state=str(life.state),
            gpus=gpus,
            launched_at=uow.now,
        )
        (outcome.preparations if needs_preparation(work) else outcome.launches).append(work)
