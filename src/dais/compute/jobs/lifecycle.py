"""The life of a job: a pure function over a transition table. Nothing else in Dais decides a job's state.

    PENDING -> SCHEDULED -> PREPARING -> RUNNING -> FINISHING -> SUCCEEDED | FAILED | CANCELLED
       ^           |            |           |
       +-----------+------------+-----------+   requeue: next run index

`step(job, event)` gives the job after the event and what must be done about it. A pair of state and event that has
no entry raises `Impossible`, which tells the job's story so far.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import msgspec


class State(enum.StrEnum):
    """Where a job is in its life. The last three are final."""

    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    PREPARING = "PREPARING"
    RUNNING = "RUNNING"
    FINISHING = "FINISHING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
PLACED = frozenset({State.SCHEDULED, State.PREPARING, State.RUNNING})
"""States in which a job holds its slots on a node."""


class RunState(enum.StrEnum):
    """A run's own state: as its job's while it is the latest, then how it ended."""

    SCHEDULED = "SCHEDULED"
    PREPARING = "PREPARING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"


class Action(enum.StrEnum):
    """What has to be done once the change is committed."""

    PREPARE = "prepare"
    """Stage what the run needs, then launch it."""
    STOP = "stop"
    """Stop the run's container, if there is one."""
    SHIP = "ship"
    """Move the run's log and outputs into the blob store."""
    DISCARD = "discard"
    """Remove what was staged for the run: it will not be launched."""
    QUEUE = "queue"
    """The job waits in the queue: let the scheduler look."""


# -- events -----------------------------------------------------------------------------------------------


class Placed(msgspec.Struct, frozen=True):
    """The scheduler gave the job a node and its slots."""

    node: str


class PreparationStarted(msgspec.Struct, frozen=True):
    """Inputs are being staged."""


class PreparationFailed(msgspec.Struct, frozen=True):
    """Something that the run needs cannot be had."""

    reason: str
    detail: str


class Started(msgspec.Struct, frozen=True):
    """The engine says that the container runs, since `at` (µs). `node`: where, if it was it who chose that."""

    at: int
    node: str | None = None


class Ended(msgspec.Struct, frozen=True):
    """The engine says how the container ended. `reason` is the engine's word for it."""

    reason: str
    at: int
    exit_code: int | None = None
    signal: int | None = None
    detail: str | None = None
    stop_reason: str | None = None
    has_log: bool = True


class Lost(msgspec.Struct, frozen=True):
    """The node cannot know how the container ended; nothing of it is left there."""

    at: int
    detail: str
    has_log: bool = True


class CancelRequested(msgspec.Struct, frozen=True):
    """Somebody (or a limit) wants the job to end."""

    reason: str
    at: int
    detail: str | None = None


class Shipped(msgspec.Struct, frozen=True):
    """Log and outputs of the latest run are in the blob store."""

    at: int


class OutputRefused(msgspec.Struct, frozen=True):
    """What the latest run wrote cannot become a file set."""

    detail: str


class Retried(msgspec.Struct, frozen=True):
    """The owner wants a finished job to run again."""

    at: int


Event = (
    Placed
    | PreparationStarted
    | PreparationFailed
    | Started
    | Ended
    | Lost
    | CancelRequested
    | Shipped
    | OutputRefused
    | Retried
)


# -- the job, as far as its life is concerned --------------------------------------------------------------


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """What `step` needs to know of a job. `story` is the states it went through, newest last."""

    state: State
    run_index: int = 0
    run_state: RunState | None = None
    restartable: bool = False
    node: str | None = None
    reason: str | None = None
    detail: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    cancel_reason: str | None = None
    cancel_requested_at: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    story: tuple[str, ...] = ()


class Impossible(Exception):
    """An event came that the state has no entry for: a defect, told with the job's story."""

    def __init__(self, job: Life, event: Event) -> None:
        story = " → ".join((*job.story, job.state))
        super().__init__(
            f"{type(event).__name__} cannot happen to a job that is {job.state} (run {job.run_index}): {story}"
        )
        self.job, self.event = job, event


def final_state(reason: str) -> State:
    """The final state that follows from a reason."""
    if reason == "completed":
        return State.SUCCEEDED
    return State.CANCELLED if reason == "user-request" else State.FAILED


def step(job: Life, event: Event) -> tuple[Life, tuple[Action, ...]]:
    """The job after the event, and what to do. Raises Impossible."""
    rule = _table.get((job.state, type(event)))
    if rule is None:
        raise Impossible(job, event)
    after, actions = rule(job, event)
    if after.state != job.state:
        after = msgspec.structs.replace(after, story=(*job.story, str(job.state))[-20:])
    return after, actions


# -- the rules ----------------------------------------------------------------------------------------------

_Rule = Callable[[Life, Any], tuple[Life, tuple[Action, ...]]]
_change = msgspec.structs.replace


def _place(job: Life, event: Placed) -> tuple[Life, tuple[Action, ...]]:
    after = _change(
        job,
        state=State.SCHEDULED,
        run_state=RunState.SCHEDULED,
        node=event.node,
        reason=None,
        detail=None,
        exit_code=None,
        signal=None,
        started_at=None,
        ended_at=None,
    )
    return after, (Action.PREPARE,)


def _prepare(job: Life, event: PreparationStarted) -> tuple[Life, tuple[Action, ...]]:
    return _change(job, state=State.PREPARING, run_state=RunState.PREPARING), ()


def _cannot_prepare(job: Life, event: PreparationFailed) -> tuple[Life, tuple[Action, ...]]:
    reason = job.cancel_reason or event.reason
    after = _change(job, state=State.FINISHING, reason=reason, detail=event.detail)
    return _close_run(after, reason), (Action.SHIP, Action.DISCARD)


def _start(job: Life, event: Started) -> tuple[Life, tuple[Action, ...]]:
    node = event.node or job.node
    after = _change(job, state=State.RUNNING, run_state=RunState.RUNNING, started_at=event.at, node=node)
    return after, ((Action.STOP,) if job.cancel_reason else ())


def _end(job: Life, event: Ended) -> tuple[Life, tuple[Action, ...]]:
    reason = event.reason
    if reason == "exit-code" and event.exit_code == 0:
        reason = "completed"
    elif reason == "stopped":
        reason = event.stop_reason or job.cancel_reason or "user-request"
    after = _change(
        job,
        state=State.FINISHING,
        reason=reason,
        detail=event.detail or (job.detail if job.cancel_reason else None),
        exit_code=event.exit_code,
        signal=event.signal,
        ended_at=event.at,
    )
    return _close_run(after, reason), (Action.SHIP,)


def _lose(job: Life, event: Lost) -> tuple[Life, tuple[Action, ...]]:
    if job.restartable and job.cancel_reason is None:
        after = _change(
            job, state=State.PENDING, run_state=RunState.INTERRUPTED, reason="node-lost", detail=event.detail
        )
        return _next_run(after), (Action.SHIP, Action.QUEUE)
    reason = job.cancel_reason or "node-lost"
    after = _change(job, state=State.FINISHING, reason=reason, detail=event.detail, ended_at=event.at)
    return _change(after, run_state=RunState.INTERRUPTED), (Action.SHIP,)


def _cancel_waiting(job: Life, event: CancelRequested) -> tuple[Life, tuple[Action, ...]]:
    after = _change(
        job,
        state=final_state(event.reason),
        reason=event.reason,
        detail=event.detail,
        ended_at=event.at,
        cancel_requested_at=event.at,
        cancel_reason=event.reason,
    )
    return after, ()


def _cancel_placed(job: Life, event: CancelRequested) -> tuple[Life, tuple[Action, ...]]:
    """Something may have been launched: the end comes from the engine, or from the preparation that sees the wish."""
    if job.cancel_reason is not None:
        return job, (Action.STOP,)
    after = _change(job, cancel_reason=event.reason, cancel_requested_at=event.at, detail=event.detail)
    return after, (Action.STOP,)


def _ship(job: Life, event: Shipped) -> tuple[Life, tuple[Action, ...]]:
    assert job.reason is not None
    return _change(job, state=final_state(job.reason), ended_at=job.ended_at or event.at), ()


def _refuse_output(job: Life, event: OutputRefused) -> tuple[Life, tuple[Action, ...]]:
    """Only of a run that was a success otherwise: whatever else went wrong before is the reason."""
    if job.reason != "completed":
        return job, ()
    return _close_run(_change(job, reason="output-failed", detail=event.detail), "output-failed"), ()


def _retry(job: Life, event: Retried) -> tuple[Life, tuple[Action, ...]]:
    return _next_run(_change(job, state=State.PENDING, reason="retry", detail=None)), (Action.QUEUE,)


def _next_run(job: Life) -> Life:
    """The same job, waiting for its next run."""
    return _change(
        job,
        run_index=job.run_index + 1,
        node=None,
        exit_code=None,
        signal=None,
        started_at=None,
        ended_at=None,
        cancel_reason=None,
        cancel_requested_at=None,
    )


def _close_run(job: Life, reason: str) -> Life:
    return _change(job, run_state=RunState(final_state(reason).value))


def _ignore(job: Life, event: Event) -> tuple[Life, tuple[Action, ...]]:
    """News that changes nothing: records are told at least once, and kills may come late."""
    return job, ()


_table: dict[tuple[State, type], _Rule] = {
    (State.PENDING, Placed): _place,
    (State.PENDING, CancelRequested): _cancel_waiting,
    (State.SCHEDULED, PreparationStarted): _prepare,
    (State.SCHEDULED, PreparationFailed): _cannot_prepare,
    (State.SCHEDULED, Lost): _lose,
    (State.SCHEDULED, CancelRequested): _cancel_placed,
    (State.PREPARING, PreparationFailed): _cannot_prepare,
    (State.PREPARING, Started): _start,
    (State.PREPARING, Ended): _end,
    (State.PREPARING, Lost): _lose,
    (State.PREPARING, CancelRequested): _cancel_placed,
    (State.RUNNING, Started): _ignore,
    (State.RUNNING, Ended): _end,
    (State.RUNNING, Lost): _lose,
    (State.RUNNING, CancelRequested): _cancel_placed,
    (State.FINISHING, Started): _ignore,
    (State.FINISHING, Ended): _ignore,
    (State.FINISHING, Lost): _ignore,
    (State.FINISHING, CancelRequested): _ignore,
    (State.FINISHING, Shipped): _ship,
    (State.FINISHING, OutputRefused): _refuse_output,
}
for _state in FINAL:
    _table[_state, Retried] = _retry
    for _late in (Started, Ended, Lost, CancelRequested, Shipped, OutputRefused):
        _table[_state, _late] = _ignore
