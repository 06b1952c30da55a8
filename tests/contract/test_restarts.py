"""Servers that end, start again and do not acknowledge; machines that die."""

from __future__ import annotations

import pytest

from dais.engines.contract import NEVER_ACCEPTED, Engine, LaunchSpec, Phase, Status
from dais.kit.ids import new_id
from tests.support.engines import Harness, eventually, output, printed, read_log, watching

pytestmark = pytest.mark.anyio


async def run_to_its_end(harness: Harness, engine: Engine, spec: LaunchSpec) -> Status:
    """Launch it, and hear and acknowledge its end, and everything before."""
    async with watching(engine) as watcher:
        await engine.launch([spec])
        end = await watcher.over(spec.attempt_id)
        last = harness.spec(("exit", "0"))
        await engine.launch([last])
        await watcher.over(last.attempt_id)
    return end


async def test_containers_outlive_the_server(harness: Harness) -> None:
    first = await harness.open()
    ends = harness.spec(("print", "before"), ("sleep", "0.3"), ("print", "after"), ("exit", "7"))
    stays = harness.spec(("sleep-forever",))
    async with watching(first) as watcher:
        handles = await first.launch([ends, stays])
        await watcher.running(stays.attempt_id)
        await watcher.running(ends.attempt_id)
        await printed(first, handles[0], b"before\n")
    await first.close()

    await harness.pass_time(1)
    second = await harness.open()
    try:
        async with watching(second) as watcher:
            end = await watcher.over(ends.attempt_id)
            assert (end.reason, end.exit_code) == ("exit-code", 7)
            [_, other] = await second.poll(handles)
            assert other.phase is Phase.RUNNING
            assert output(await read_log(second, handles[0])) == b"before\nafter\n"
            assert await second.launch([stays]) == [handles[1]]
            await second.stop(handles[1], grace=5, reason="user-request")
            assert (await watcher.over(stays.attempt_id)).reason == "stopped"
    finally:
        await second.close()


async def test_what_was_not_acknowledged_is_told_to_the_next_server(harness: Harness) -> None:
    first = await harness.open()
    specs = [harness.spec(("exit", str(code))) for code in (1, 2)]
    async with watching(first, acknowledges=False) as watcher:
        await first.launch(specs)
        told = [await watcher.over(spec.attempt_id) for spec in specs]
    await first.close()

    second = await harness.open()
    async with watching(second) as watcher:
        again = [await watcher.over(spec.attempt_id) for spec in specs]
    assert [(s.attempt_id, s.reason, s.exit_code) for s in again] == [
        (s.attempt_id, s.reason, s.exit_code) for s in told
    ]
    await second.close()


async def test_what_was_not_acknowledged_is_told_to_the_next_watcher(harness: Harness, engine: Engine) -> None:
    spec = harness.spec(("exit", "5"))
    async with watching(engine, acknowledges=False) as watcher:
        await engine.launch([spec])
        told = await watcher.over(spec.attempt_id)
    async with watching(engine) as watcher:
        assert await watcher.over(spec.attempt_id) == told


async def test_what_was_acknowledged_is_not_told_again(harness: Harness) -> None:
    first = await harness.open()
    spec = harness.spec(("exit", "0"))
    async with watching(first) as watcher:
        await first.launch([spec])
        await watcher.over(spec.attempt_id)
        # The last batch's acknowledgement follows it; a further end shows that it has been given.
        later = harness.spec(("exit", "0"))
        await first.launch([later])
        await watcher.over(later.attempt_id)
    await first.close()

    second = await harness.open()
    async with watching(second) as watcher:
        last = harness.spec(("exit", "0"))
        await second.launch([last])
        await watcher.over(last.attempt_id)
        assert spec.attempt_id not in watcher.told
    await second.close()


async def test_what_has_ended_does_not_run_again_for_the_next_server(harness: Harness) -> None:
    first = await harness.open()
    spec = harness.spec(("print", "once"), ("exit", "0"))
    await run_to_its_end(harness, first, spec)
    await first.close()

    second = await harness.open()
    [handle] = await second.launch([spec])
    await run_to_its_end(harness, second, harness.spec(("exit", "0")))
    [status] = await second.poll([handle])
    assert status.phase is Phase.ENDED
    assert output(await read_log(second, handle)) == b"once\n"
    await second.close()


async def test_what_was_lost_does_not_run_again(harness: Harness) -> None:
    first = await harness.open()
    spec = harness.spec(("print", "once"), ("sleep-forever",))
    async with watching(first) as watcher:
        [handle] = await first.launch([spec])
        await watcher.running(spec.attempt_id)
        await printed(first, handle, b"once\n")
        await harness.crash()
        await watcher.over(spec.attempt_id)
    await stays_lost(harness, first, spec)
    await first.close()
    second = await harness.open()
    await stays_lost(harness, second, spec)
    await second.close()


async def stays_lost(harness: Harness, engine: Engine, spec: LaunchSpec) -> None:
    """Launching it again changes nothing."""
    [handle] = await engine.launch([spec])
    await run_to_its_end(harness, engine, harness.spec(("exit", "0")))
    [status] = await engine.poll([handle])
    assert (status.phase, status.reason) == (Phase.LOST, "node-lost")
    assert output(await read_log(engine, handle)) == b"once\n"


async def test_the_next_server_finds_what_was_not_forgotten(harness: Harness) -> None:
    first = await harness.open()
    done, runs = harness.spec(("exit", "0")), harness.spec(("sleep-forever",))
    async with watching(first) as watcher:
        handles = await first.launch([done, runs])
        await watcher.over(done.attempt_id)
        await watcher.running(runs.attempt_id)
        assert await first.ended() == [handles[0]]
    await first.close()

    second = await harness.open()
    assert await second.ended() == [handles[0]]
    await second.forget(handles)
    assert await second.ended() == []
    await second.close()


async def test_acknowledging_a_later_batch_does_not_acknowledge_an_earlier(harness: Harness) -> None:
    first = await harness.open()
    early, late = harness.spec(("exit", "1")), harness.spec(("exit", "2"))
    async with watching(first, acknowledges=False) as watcher:
        await first.launch([early])
        await watcher.over(early.attempt_id)
        so_far = len(watcher.batches)
        await first.launch([late])
        await watcher.over(late.attempt_id)
        for batch in watcher.batches[so_far:]:
            await first.acknowledge(batch)
    await first.close()

    second = await harness.open()
    async with watching(second) as watcher:
        assert (await watcher.over(early.attempt_id)).exit_code == 1
    await second.close()


async def test_a_dead_machine_loses_its_containers_and_the_next_one_works(harness: Harness, engine: Engine) -> None:
    async with watching(engine) as watcher:
        done = harness.spec(("exit", "3"))
        runs = [harness.spec(("print", "here"), ("sleep-forever",)) for _ in range(3)]
        handles = await engine.launch([done, *runs])
        await watcher.over(done.attempt_id)
        for spec, handle in zip(runs, handles[1:], strict=True):
            await watcher.running(spec.attempt_id)
            await printed(engine, handle, b"here\n")
        await harness.crash()
        for spec in runs:
            end = await watcher.over(spec.attempt_id)
            assert (end.phase, end.reason) == (Phase.LOST, "node-lost")
        assert [status.phase for status in await engine.poll(handles[1:])] == [Phase.LOST] * 3
        assert watcher.told[done.attempt_id][-1].exit_code == 3
        assert output(await read_log(engine, handles[1])) == b"here\n"

        again = harness.spec(("exit", "0"))
        await engine.launch([again])
        assert (await watcher.over(again.attempt_id)).exit_code == 0


async def test_an_end_that_was_not_told_survives_the_machine(harness: Harness) -> None:
    first = await harness.open()
    spec = harness.spec(("exit", "9"))
    async with watching(first, acknowledges=False) as watcher:
        await first.launch([spec])
        await watcher.over(spec.attempt_id)
    await harness.crash()
    await first.close()
    second = await harness.open()
    async with watching(second) as watcher:
        end = await watcher.over(spec.attempt_id)
        assert (end.reason, end.exit_code) == ("exit-code", 9)
    await second.close()


async def test_many_restarts_lose_no_line_and_no_end(harness: Harness) -> None:
    engine = await harness.open()
    lines = [("print", f"line {n}") for n in range(30)]
    steps = [step for line in lines for step in (line, ("sleep", "0.02"))]
    specs = [harness.spec(*steps, ("exit", str(code))) for code in range(5)]
    handles = await engine.launch(specs)
    for _ in range(5):
        await engine.close()
        await harness.pass_time(0.1)
        engine = await harness.open()
        assert await engine.launch(specs) == handles
    await harness.pass_time(10)
    async with watching(engine) as watcher:
        for code, (spec, handle) in enumerate(zip(specs, handles, strict=True)):
            assert (await watcher.over(spec.attempt_id)).exit_code == code
            assert output(await read_log(engine, handle)).splitlines() == [f"line {n}".encode() for n in range(30)]
    await engine.close()


async def test_a_closed_engine_ends_its_watcher(harness: Harness) -> None:
    engine = await harness.open()
    async with watching(engine) as watcher:
        spec = harness.spec(("exit", "0"))
        await engine.launch([spec])
        await watcher.over(spec.attempt_id)
        await engine.close()

        async def finished() -> bool:
            return watcher.finished

        await eventually(finished, "the end of watch()")


async def test_a_launch_that_never_arrived_may_be_repeated(harness: Harness, engine: Engine) -> None:
    spec = harness.spec(("exit", "0"), attempt_id=new_id())
    [status] = await engine.poll([{"attempt_id": spec.attempt_id}])
    assert (status.phase, status.reason, status.detail) == (Phase.LOST, None, NEVER_ACCEPTED)
    async with watching(engine) as watcher:
        await engine.launch([spec])
        assert (await watcher.over(spec.attempt_id)).exit_code == 0
