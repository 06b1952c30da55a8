"""The fake machine's own ways: scripts, exact time, behaviours."""

from __future__ import annotations

import pytest

from dais.engines.contract import LaunchSpec, Limits, Phase, Status
from dais.engines.fake import (
    Behaviour,
    DiesAfter,
    FakeEngine,
    FakeMachine,
    Lost,
    NeverStarts,
    SlowStop,
    StartsAfter,
    Unreachable,
)
from dais.kit.clock import SECOND, ManualClock


def spec(*argv: str, attempt_id: str = "a", limits: Limits | None = None) -> LaunchSpec:
    return LaunchSpec(attempt_id=attempt_id, argv=argv, env={}, limits=limits or Limits())


def launched(machine: FakeMachine, *argv: str, limits: Limits | None = None) -> Status:
    machine.launch([spec(*argv, limits=limits)])
    return now(machine)


def now(machine: FakeMachine, attempt_id: str = "a") -> Status:
    status = machine.status(attempt_id)
    assert status is not None
    return status


def misbehaving(behaviour: Behaviour) -> FakeMachine:
    machine = FakeMachine()
    machine.behave(behaviour)
    return machine


def test_sleep_ends_at_its_instant_and_not_before() -> None:
    machine = FakeMachine()
    begin = machine.clock.now()
    assert launched(machine, "sleep", "10", ";", "exit", "2").phase is Phase.RUNNING
    machine.advance(9.999999)
    assert now(machine).phase is Phase.RUNNING
    machine.advance(0.000001)
    end = now(machine)
    assert (end.phase, end.exit_code) == (Phase.ENDED, 2)
    assert end.ended_at == begin + 10 * SECOND


def test_things_happen_at_their_instants_in_one_long_step() -> None:
    machine = FakeMachine()
    begin = machine.clock.now()
    machine.launch([spec("sleep", "3", attempt_id="slow"), spec("sleep", "1", ";", "sleep", "1", attempt_id="quick")])
    machine.advance(100)
    assert now(machine, "quick").ended_at == begin + 2 * SECOND
    assert now(machine, "slow").ended_at == begin + 3 * SECOND
    assert machine.clock.now() == begin + 100 * SECOND


def test_a_shared_clock_may_be_moved_by_others() -> None:
    clock = ManualClock()
    machine = FakeMachine(clock=clock)
    begin = clock.now()
    launched(machine, "sleep", "5", limits=Limits(time=7))
    clock.advance(60)
    assert now(machine).phase is Phase.RUNNING
    machine.settle()
    assert (now(machine).reason, now(machine).ended_at) == ("exit-code", begin + 5 * SECOND)


def test_the_time_limit_comes_before_a_later_exit() -> None:
    machine = FakeMachine()
    launched(machine, "sleep", "5", limits=Limits(time=4))
    machine.advance(60)
    assert now(machine).reason == "time-limit"


def test_never_starts_waits_until_it_is_stopped() -> None:
    machine = misbehaving(NeverStarts())
    assert launched(machine, "true").phase is Phase.QUEUED
    machine.advance(10**6)
    assert now(machine).phase is Phase.QUEUED
    machine.stop("a", 10, "user-request")
    assert (now(machine).phase, now(machine).reason, now(machine).started_at) == (Phase.ENDED, "stopped", None)


def test_starts_after() -> None:
    machine = misbehaving(StartsAfter(5))
    assert launched(machine, "sleep-forever").phase is Phase.QUEUED
    machine.advance(5)
    assert now(machine).phase is Phase.RUNNING


def test_dies_after_whatever_the_script_says() -> None:
    machine = misbehaving(DiesAfter(5, signal=11))
    launched(machine, "sleep-forever")
    machine.advance(4)
    assert now(machine).phase is Phase.RUNNING
    machine.advance(1)
    assert (now(machine).reason, now(machine).signal) == ("signal", 11)
    assert launched(misbehaving(DiesAfter()), "exit", "0").reason == "signal"


def test_slow_stop_takes_the_whole_grace() -> None:
    machine = misbehaving(SlowStop())
    launched(machine, "sleep-forever")
    machine.stop("a", 10, "preempted")
    machine.advance(9)
    assert now(machine).phase is Phase.RUNNING
    machine.advance(1)
    assert (now(machine).reason, now(machine).signal, now(machine).stop_reason) == ("stopped", 9, "preempted")


def test_lost() -> None:
    machine = misbehaving(Lost(3))
    launched(machine, "sleep-forever")
    machine.advance(3)
    assert (now(machine).phase, now(machine).reason) == (Phase.LOST, "node-lost")


def test_behaviours_are_chosen_by_the_spec_and_the_newest_rule_wins() -> None:
    machine = FakeMachine()
    machine.behave(NeverStarts())
    machine.behave(DiesAfter(), when=lambda spec: spec.attempt_id == "b")
    machine.launch([spec("true", attempt_id="a"), spec("true", attempt_id="b")])
    assert now(machine, "a").phase is Phase.QUEUED
    assert now(machine, "b").reason == "signal"


@pytest.mark.anyio
async def test_while_unreachable_every_call_fails_and_the_containers_go_on() -> None:
    machine = FakeMachine()
    engine = FakeEngine(machine)
    await engine.start()
    [handle] = await engine.launch([spec("sleep", "5", ";", "exit", "1")])
    with Unreachable(machine):
        machine.advance(10)
        for call in (
            engine.start(),
            engine.launch([spec("true", attempt_id="b")]),
            engine.poll([handle]),
            engine.stop(handle, grace=0, reason="x"),
            engine.logs(handle, None),
            engine.forget([handle]),
            engine.nodes(),
            engine.host_tools(),
            engine.usage([handle]),
            engine.exec(handle, ["true"], env={}, workdir=None, pty=None),
        ):
            with pytest.raises(ConnectionError):
                await call
    assert machine.container("b") is None
    async for batch in engine.watch():
        assert [status.exit_code for status in batch.statuses] == [1]
        await engine.close()


def test_a_crash_loses_what_has_not_ended() -> None:
    machine = FakeMachine()
    machine.launch([spec("exit", "0", attempt_id="done"), spec("sleep-forever", attempt_id="runs")])
    machine.crash()
    assert now(machine, "done").reason == "exit-code"
    assert now(machine, "runs").phase is Phase.LOST
    assert machine.running() == []
