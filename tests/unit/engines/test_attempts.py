"""What the local engine concludes from what the supervisor says, and from what it does not say."""

from __future__ import annotations

from typing import Any

from dais.engines.contract import NEVER_ACCEPTED, TOLD_BEFORE, Phase, Status
from dais.engines.supervised.attempts import Attempts
from dais.engines.supervised.frames import Message, Record

NOW = 1_700_000_000_000_000


def started(name: str, **fields: Any) -> Record:
    return Record(seq=1, attempt_id=name, kind="started", at=5, isolation=("uid",), **fields)


def ended(name: str, reason: str = "exit-code", **fields: Any) -> Record:
    return Record(seq=2, attempt_id=name, kind="ended", at=9, reason=reason, **fields)


def hello(*queued: str, **attempts: str) -> Message:
    return Message(op="hello", attempts=attempts, queued=queued)


def launched(*names: str) -> Attempts:
    attempts = Attempts("node")
    attempts.greeted(hello())
    attempts.reconcile(NOW)
    attempts.sent(names)
    return attempts


def test_an_end_keeps_what_the_start_said() -> None:
    attempts = launched("a")
    assert attempts.get("a").phase is Phase.QUEUED
    assert attempts.apply(started("a")).phase is Phase.RUNNING
    end = attempts.apply(ended("a", exit_code=3, memory_peak=7, log_bytes=2))
    assert end == attempts.get("a")
    assert end == Status(
        attempt_id="a",
        phase=Phase.ENDED,
        reason="exit-code",
        exit_code=3,
        node="node",
        started_at=5,
        ended_at=9,
        isolation=("uid",),
        memory_peak=7,
        log_bytes=2,
    )


def test_a_start_that_is_repeated_after_the_end_does_not_revive() -> None:
    attempts = launched("a")
    attempts.apply(ended("a", exit_code=3))
    assert attempts.apply(started("a")).phase is Phase.ENDED


def test_a_launch_that_the_supervisor_never_heard_of_may_be_repeated() -> None:
    attempts = launched("a")
    attempts.greeted(hello())
    [told] = attempts.reconcile(NOW)
    assert (told.phase, told.reason, told.detail) == (Phase.LOST, None, NEVER_ACCEPTED)
    assert attempts.get("a") == told
    assert not attempts.is_over("a")


def test_an_accepted_attempt_that_the_next_supervisor_does_not_name_is_lost_with_its_node() -> None:
    attempts = launched("a")
    attempts.apply(started("a"))
    attempts.greeted(hello())
    [told] = attempts.reconcile(NOW)
    assert (told.phase, told.reason, told.started_at, told.ended_at) == (Phase.LOST, "node-lost", 5, NOW)
    assert attempts.is_over("a")


def test_nothing_is_concluded_before_the_supervisor_has_said_everything() -> None:
    attempts = launched("a")
    attempts.apply(started("a"))
    attempts.greeted(hello())
    assert attempts.get("a").phase is Phase.RUNNING
    attempts.apply(ended("a", exit_code=0))
    assert attempts.reconcile(NOW) == []
    assert attempts.get("a").exit_code == 0


def test_a_new_server_learns_from_hello() -> None:
    attempts = Attempts("node")
    attempts.greeted(hello("q", r="running", e="ended", l="lost"))
    assert attempts.reconcile(NOW) == []
    assert attempts.get("q").phase is Phase.QUEUED
    assert attempts.get("r").phase is Phase.RUNNING
    assert (attempts.get("e").phase, attempts.get("e").detail) == (Phase.ENDED, TOLD_BEFORE)
    assert (attempts.get("l").phase, attempts.get("l").reason) == (Phase.LOST, "node-lost")
    assert attempts.apply(ended("e", exit_code=4)).detail is None


def test_lost_is_a_phase_with_the_reason_node_lost() -> None:
    attempts = launched("a")
    end = attempts.apply(ended("a", "lost", detail="the supervisor was killed"))
    assert (end.phase, end.reason, end.detail) == (Phase.LOST, "node-lost", "the supervisor was killed")


def test_forget_leaves_what_runs() -> None:
    attempts = launched("runs", "done")
    attempts.apply(started("runs"))
    attempts.apply(ended("done"))
    assert attempts.forget(["runs", "done", "unknown"]) == ["done", "unknown"]
    assert attempts.get("runs").phase is Phase.RUNNING
    assert attempts.get("done").detail == NEVER_ACCEPTED
