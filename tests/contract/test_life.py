"""Launching, polling, every way to end, and stopping: the same on every engine."""

from __future__ import annotations

import pytest

from dais.engines.contract import NEVER_ACCEPTED, Engine, Limits, Phase, Status
from dais.kit.ids import new_id
from tests.support.engines import Harness, Watcher, output, printed, read_log
from tests.support.needs import needs_cgroups

pytestmark = pytest.mark.anyio


async def test_a_container_runs_and_ends_with_its_code(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(("print", "hello"), ("exit", "3"))
    [handle] = await engine.launch([spec])
    end = await watcher.over(spec.attempt_id)
    assert (end.phase, end.reason, end.exit_code, end.signal) == (Phase.ENDED, "exit-code", 3, None)
    assert end.stop_reason is None
    assert end.started_at is not None
    assert end.ended_at is not None
    assert end.started_at <= end.ended_at
    assert end.log_bytes == len(b"hello\n")
    assert end.log_truncated is False
    assert await engine.poll([handle]) == [end]


async def test_the_same_attempt_twice_is_one_container(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(("print", "once"), ("exit", "0"))
    [first] = await engine.launch([spec])
    [second, third] = await engine.launch([spec, spec])
    await watcher.over(spec.attempt_id)
    [fourth] = await engine.launch([spec])
    assert first == second == third == fourth
    # Another container's end shows that the machine has also seen the launches above.
    other = harness.spec(("exit", "0"))
    await engine.launch([other])
    await watcher.over(other.attempt_id)
    assert output(await read_log(engine, first)) == b"once\n"
    ends = [status for status in watcher.told[spec.attempt_id] if status.phase is Phase.ENDED]
    assert ends == ends[:1] * len(ends)  # of one container, though it may be told again


async def test_a_running_container_is_told_and_polled_as_running(
    harness: Harness, engine: Engine, watcher: Watcher
) -> None:
    spec = harness.spec(("sleep-forever",))
    [handle] = await engine.launch([spec])
    told = await watcher.running(spec.attempt_id)
    assert told.started_at is not None
    assert told.isolation
    [polled] = await engine.poll([handle])
    assert polled.phase is Phase.RUNNING
    assert polled.ended_at is None


async def test_poll_answers_in_the_order_asked(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    specs = [harness.spec(("exit", str(code))) for code in range(5)]
    handles = await engine.launch(specs)
    for spec in specs:
        await watcher.over(spec.attempt_id)
    statuses = await engine.poll([*reversed(handles), handles[2]])
    assert [status.exit_code for status in statuses] == [4, 3, 2, 1, 0, 2]
    assert await engine.poll([]) == []


async def test_an_attempt_that_was_never_launched_is_lost_without_a_reason(engine: Engine) -> None:
    unknown = new_id()
    [status] = await engine.poll([{"attempt_id": unknown}])
    assert status == Status(attempt_id=unknown, phase=Phase.LOST, detail=NEVER_ACCEPTED)


async def test_a_signal_is_told_apart_from_an_exit_code(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(("signal", "11"))
    await engine.launch([spec])
    end = await watcher.over(spec.attempt_id)
    assert (end.reason, end.signal) == ("signal", 11)


async def test_a_missing_command_is_told_apart_from_its_exit_code(
    harness: Harness, engine: Engine, watcher: Watcher
) -> None:
    missing = harness.spec(argv=("no-such-command-here",))
    real = harness.spec(("exit", "127"))
    await engine.launch([missing, real])
    end = await watcher.over(missing.attempt_id)
    assert end.reason == "command-not-found"
    assert "no-such-command-here" in (end.detail or "")
    end = await watcher.over(real.attempt_id)
    assert (end.reason, end.exit_code) == ("exit-code", 127)


async def test_a_spec_that_cannot_start_fails_alone(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    broken = harness.spec(("exit", "0"), **harness.unstartable())
    sound = harness.spec(("exit", "0"))
    await engine.launch([broken, sound])
    end = await watcher.over(broken.attempt_id)
    assert (end.phase, end.reason) == (Phase.ENDED, "launch-failed")
    assert end.detail
    assert (await watcher.over(sound.attempt_id)).exit_code == 0


async def test_the_time_limit_ends_a_container(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(("sleep-forever",), limits=Limits(time=0.2, grace=0.2))
    await engine.launch([spec])
    await harness.pass_time(1)
    end = await watcher.over(spec.attempt_id)
    assert (end.phase, end.reason, end.detail) == (Phase.ENDED, "time-limit", None)


async def test_out_of_memory_is_told_apart_from_other_kills(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    if harness.name != "fake":
        needs_cgroups("memory")
    greedy = harness.spec(("oom",), limits=Limits(memory=64 << 20))
    killed = harness.spec(("signal", "9"), limits=Limits(memory=64 << 20))
    await engine.launch([greedy, killed])
    assert (await watcher.over(greedy.attempt_id)).reason == "out-of-memory"
    assert (await watcher.over(killed.attempt_id)).reason == "signal"


async def test_stop_ends_a_running_container_with_its_reason(
    harness: Harness, engine: Engine, watcher: Watcher
) -> None:
    spec = harness.spec(("sleep-forever",))
    [handle] = await engine.launch([spec])
    await watcher.running(spec.attempt_id)
    await engine.stop(handle, grace=30, reason="user-request")
    await engine.stop(handle, grace=30, reason="another")
    end = await watcher.over(spec.attempt_id)
    assert (end.phase, end.reason, end.stop_reason) == (Phase.ENDED, "stopped", "user-request")
    assert end.detail is None


async def test_stop_kills_what_ignores_it_after_the_grace(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    spec = harness.spec(("trap-term",), ("print", "ready"), ("sleep-forever",))
    [handle] = await engine.launch([spec])
    await watcher.running(spec.attempt_id)
    await printed(engine, handle, b"ready\n")
    await engine.stop(handle, grace=0.2, reason="preempted")
    await harness.pass_time(1)
    end = await watcher.over(spec.attempt_id)
    assert (end.reason, end.stop_reason) == ("stopped", "preempted")
    if end.signal is not None:
        assert end.signal == 9


async def test_stop_right_after_launch_is_not_lost(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    specs = [harness.spec(("sleep-forever",)) for _ in range(10)]
    handles = await engine.launch(specs)
    for handle in handles:
        await engine.stop(handle, grace=5, reason="user-request")
    for spec in specs:
        end = await watcher.over(spec.attempt_id)
        assert (end.phase, end.reason, end.stop_reason) == (Phase.ENDED, "stopped", "user-request")


async def test_stopping_what_is_absent_or_over_succeeds(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    await engine.stop({"attempt_id": new_id()}, grace=0, reason="user-request")
    spec = harness.spec(("exit", "0"))
    [handle] = await engine.launch([spec])
    end = await watcher.over(spec.attempt_id)
    await engine.stop(handle, grace=0, reason="user-request")
    await engine.forget([handle])
    await engine.stop(handle, grace=0, reason="user-request")
    assert (end.reason, end.stop_reason) == ("exit-code", None)


async def test_the_environment_is_what_the_spec_says(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    value = "a b $HOME \\ 'quoted' ünï"
    spec = harness.spec(
        ("env", "COLOUR"), ("env", "UNSET_HERE"), ("exit", "0"), env={"COLOUR": value, "PATH": "/usr/bin:/bin"}
    )
    [handle] = await engine.launch([spec])
    await watcher.over(spec.attempt_id)
    assert output(await read_log(engine, handle)) == f"{value}\n\n".encode()


async def test_fifty_containers_at_once(harness: Harness, engine: Engine, watcher: Watcher) -> None:
    specs = [harness.spec(("print", f"number {n}"), ("exit", str(n))) for n in range(50)]
    handles = await engine.launch(specs)
    for n, (spec, handle) in enumerate(zip(specs, handles, strict=True)):
        end = await watcher.over(spec.attempt_id)
        assert (end.reason, end.exit_code) == ("exit-code", n)
        assert output(await read_log(engine, handle)) == f"number {n}\n".encode()


async def test_nodes_are_told(harness: Harness, engine: Engine) -> None:
    nodes = await engine.nodes()
    assert len(nodes) >= 1
    for node in nodes:
        assert node.name
        assert node.cpu > 0
        assert node.memory > 0
        assert node.isolation["mode"] in ("sandbox", "process", "container")
