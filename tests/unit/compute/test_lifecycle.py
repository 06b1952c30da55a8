"""The life of a job, as a pure function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.compute.jobs import lifecycle
from dais.compute.jobs.lifecycle import FINAL, PLACED, Action, Impossible, Life, RunState, State, final_state, step

T = 1_000_000

PLACE = lifecycle.Placed("n1")
PREPARE = lifecycle.PreparationStarted()
START = lifecycle.Started(T)
CANCEL = lifecycle.CancelRequested("user-request", 2 * T, "killed by joe")
SHIPPED = lifecycle.Shipped(4 * T)


def ended(reason: str = "exit-code", exit_code: int | None = 0, **more: object) -> lifecycle.Ended:
    return lifecycle.Ended(reason=reason, at=3 * T, exit_code=exit_code, **more)  # type: ignore[arg-type]


def live(*events: lifecycle.Event, restartable: bool = False) -> tuple[Life, list[Action]]:
    job = Life(state=State.PENDING, restartable=restartable)
    done: list[Action] = []
    for event in events:
        job, actions = step(job, event)
        done += actions
    return job, done


def test_a_job_that_succeeds() -> None:
    job, actions = live(PLACE, PREPARE, START, ended(), SHIPPED)
    assert (job.state, job.reason, job.exit_code, job.run_state) == (
        State.SUCCEEDED,
        "completed",
        0,
        RunState.SUCCEEDED,
    )
    assert (job.started_at, job.ended_at, job.node) == (T, 3 * T, "n1")
    assert actions == [Action.PREPARE, Action.SHIP]


def test_an_output_that_cannot_be_taken_makes_a_success_a_failure() -> None:
    refused = lifecycle.OutputRefused("it is too large")
    job, _ = live(PLACE, PREPARE, START, ended(), refused, SHIPPED, refused)
    assert (job.state, job.reason, job.detail) == (State.FAILED, "output-failed", "it is too large")
    assert (job.run_state, job.exit_code) == (RunState.FAILED, 0)
    job, _ = live(PLACE, PREPARE, START, ended("exit-code", 3), refused, SHIPPED)
    assert (job.state, job.reason) == (State.FAILED, "exit-code"), "what went wrong first is the reason"


@pytest.mark.parametrize(
    "event, state, reason",
    [
        (ended("exit-code", 3), State.FAILED, "exit-code"),
        (ended("signal", None, signal=9), State.FAILED, "signal"),
        (ended("out-of-memory", 137), State.FAILED, "out-of-memory"),
        (ended("time-limit", None), State.FAILED, "time-limit"),
        (ended("command-not-found", 127), State.FAILED, "command-not-found"),
        (ended("launch-failed", None), State.FAILED, "launch-failed"),
        (ended("stopped", None, stop_reason="user-request"), State.CANCELLED, "user-request"),
        (ended("stopped", None, stop_reason="idle-timeout"), State.FAILED, "idle-timeout"),
        (lifecycle.Lost(3 * T, "the supervisor died"), State.FAILED, "node-lost"),
    ],
)
def test_the_final_state_follows_from_the_reason(event: lifecycle.Event, state: State, reason: str) -> None:
    job, _ = live(PLACE, PREPARE, START, event, SHIPPED)
    assert (job.state, job.reason) == (state, reason)


def test_an_end_that_was_told_without_its_start() -> None:
    job, _ = live(PLACE, PREPARE, ended("launch-failed", None), SHIPPED)
    assert (job.state, job.started_at) == (State.FAILED, None)


def test_waiting_job_is_cancelled_at_once() -> None:
    job, actions = live(CANCEL)
    assert (job.state, job.ended_at, job.detail) == (State.CANCELLED, 2 * T, "killed by joe")
    assert actions == []


def test_running_job_is_stopped_first() -> None:
    job, actions = live(PLACE, PREPARE, START, CANCEL)
    assert (job.state, job.cancel_reason, job.cancel_requested_at) == (State.RUNNING, "user-request", 2 * T)
    assert actions[-1] == Action.STOP
    job, _ = live(PLACE, PREPARE, START, CANCEL, ended("stopped", None), SHIPPED)
    assert job.state == State.CANCELLED


def test_cancelled_before_the_start_was_told_stops_when_it_is() -> None:
    _, actions = live(PLACE, PREPARE, CANCEL, START)
    assert actions == [Action.PREPARE, Action.STOP, Action.STOP]


def test_a_job_that_ended_before_the_stop_reached_it_keeps_its_own_end() -> None:
    job, _ = live(PLACE, PREPARE, START, CANCEL, ended("exit-code", 0), SHIPPED)
    assert (job.state, job.reason) == (State.SUCCEEDED, "completed")


def test_lost_restartable_job_waits_for_its_next_run() -> None:
    job, actions = live(PLACE, PREPARE, START, lifecycle.Lost(3 * T, "gone"), restartable=True)
    assert (job.state, job.run_index, job.node, job.started_at) == (State.PENDING, 1, None, None)
    assert actions[-2:] == [Action.SHIP, Action.QUEUE]


def test_lost_job_that_was_being_cancelled_is_not_restarted() -> None:
    job, _ = live(PLACE, PREPARE, START, CANCEL, lifecycle.Lost(3 * T, "gone"), SHIPPED, restartable=True)
    assert job.state == State.CANCELLED


def test_retry_begins_the_next_run_and_forgets_the_wish_to_end() -> None:
    job, _ = live(CANCEL, lifecycle.Retried(5 * T))
    assert (job.state, job.run_index, job.cancel_reason, job.ended_at) == (State.PENDING, 1, None, None)
    job, _ = step(job, PLACE)
    assert job.reason is None


def test_impossible_tells_the_story() -> None:
    with pytest.raises(
        Impossible, match=r"Placed cannot happen .* RUNNING .*: PENDING → SCHEDULED → PREPARING → RUNNING"
    ):
        live(PLACE, PREPARE, START, PLACE)


events = st.sampled_from(
    [
        PLACE,
        PREPARE,
        lifecycle.PreparationFailed("environment-failed", "no such package"),
        START,
        ended(),
        ended("stopped", None),
        ended("exit-code", 1),
        lifecycle.Lost(3 * T, "gone"),
        CANCEL,
        SHIPPED,
        lifecycle.OutputRefused("no"),
        lifecycle.Retried(5 * T),
    ]
)


@given(st.lists(events, max_size=40), st.booleans())
def test_invariants_hold_whatever_happens(story: list[lifecycle.Event], restartable: bool) -> None:
    job = Life(state=State.PENDING, restartable=restartable)
    for event in story:
        before = job
        try:
            job, actions = step(job, event)
        except Impossible:
            continue
        assert job.run_index in (before.run_index, before.run_index + 1)
        assert (job.ended_at is not None) or job.state not in FINAL
        assert (job.node is not None) or job.state not in PLACED
        if job.state in FINAL:
            assert job.reason is not None
            assert job.state == final_state(job.reason)
        if before.state in FINAL and not isinstance(event, lifecycle.Retried):
            assert (job, actions) == (before, ())
        if Action.STOP in actions:
            assert job.state in PLACED


@given(st.lists(events, max_size=40), st.booleans())
def test_records_may_be_told_twice(story: list[lifecycle.Event], restartable: bool) -> None:
    """The engine tells at least once: the same record again changes nothing but may not be refused."""
    job = Life(state=State.PENDING, restartable=restartable)
    for event in story:
        try:
            job, _ = step(job, event)
        except Impossible:
            continue
        if isinstance(event, (lifecycle.Started, lifecycle.Ended)) and job.state != State.PENDING:
            again, _ = step(job, event)
            assert again == job
