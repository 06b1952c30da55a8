"""Slurm loses its controller, nodes and jobs, and the server dies: no job is lost, doubled or stuck."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from dais.engines.contract import Bind, Handle, LaunchRefused, LaunchSpec, Limits, Phase, Slots
from dais.engines.slurm import SlurmEngine
from tests.support.engines import PATIENCE, Watcher, eventually, printed, watching
from tests.support.needs import UNPRIVILEGED, needs_program
from tests.support.slurm import until, words_of
from tests.support.slurm_harness import SlurmHarness

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

SERVER = """\
import asyncio, sys
from pathlib import Path
import msgspec
from dais.engines.contract import LaunchSpec
from dais.engines.slurm import SlurmEngine, SlurmOptions

async def main():
    options, specs = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[SlurmOptions, list[LaunchSpec]])
    engine = SlurmEngine(options, Path(sys.argv[1]))
    await engine.start()
    await engine.launch(specs)
    print("launched", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""
"""A server that launches what it is given, and waits to be killed."""


class Tally:
    """Counts how often each attempt has run: each writes a line into a file of its own."""

    def __init__(self, harness: SlurmHarness) -> None:
        self._harness = harness
        self._place = harness.directory / "tally"
        self._place.mkdir()
        os.chown(self._place, UNPRIVILEGED, UNPRIVILEGED)

    def spec(self, *more: str) -> LaunchSpec:
        bind = Bind(source=str(self._place), target="/mnt/tally", read_only=False)
        script = "\n".join(["echo run >> /mnt/tally/$DAIS_ATTEMPT", *more])
        return self._harness.spec(argv=("/bin/sh", "-c", script), binds=(bind,))

    def runs(self, specs: Sequence[LaunchSpec]) -> list[int]:
        places = [self._place / spec.attempt_id for spec in specs]
        return [len(place.read_text().splitlines()) if place.exists() else 0 for place in places]


async def all_over(watcher: Watcher, specs: Sequence[LaunchSpec]) -> list[tuple[str | None, int | None]]:
    return [((end := await watcher.over(spec.attempt_id)).reason, end.exit_code) for spec in specs]


async def test_a_controller_that_dies_loses_and_doubles_nothing(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher
) -> None:
    tally = Tally(harness)
    through = [tally.spec("sleep 8", "exit 4") for _ in range(3)]
    await engine.launch(through)
    for spec in through:
        await watcher.running(spec.attempt_id)
    harness.cluster.kill_controller()
    try:
        meanwhile = [tally.spec("exit 5") for _ in range(5)]
        handles = await engine.launch(meanwhile)
        # What runs ends, and is told, without a controller.
        assert await all_over(watcher, through) == [("exit-code", 4)] * 3
        statuses = await engine.poll(handles)
        assert {status.phase for status in statuses} == {Phase.QUEUED}
        await eventually(lambda: _is(not engine.connected), "an engine that knows that Slurm is away")
    finally:
        harness.cluster.begin_controller()
    assert await all_over(watcher, meanwhile) == [("exit-code", 5)] * 5
    assert tally.runs([*through, *meanwhile]) == [1] * 8
    await eventually(lambda: _is(engine.connected), "an engine that knows that Slurm is back")


async def test_jobs_that_the_controller_forgets_are_handed_over_again_or_lost(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher
) -> None:
    """It comes back with nothing, kills what it does not know, and gives the same numbers to others."""
    cluster, tally = harness.cluster, Tally(harness)
    runs = tally.spec("exec sleep 1000")
    await engine.launch([runs])
    await watcher.running(runs.attempt_id)
    cluster.run("scontrol", "update", f"nodename={','.join(cluster.nodes)}", "state=drain", "reason=a pause")
    waits = [tally.spec("exit 6") for _ in range(3)]
    handles = await engine.launch(waits)
    for handle in handles:
        await eventually(lambda handle=handle: _waits_for(engine, handle, "waits in Slurm"), "it in the queue")  # type: ignore[misc]
    cluster.kill("slurmctld")
    cluster.begin_controller(forgetful=True)
    assert await all_over(watcher, waits) == [("exit-code", 6)] * 3
    end = await watcher.over(runs.attempt_id)
    assert (end.phase, end.reason) == (Phase.LOST, "node-lost")
    assert tally.runs([runs, *waits]) == [1] * 4
    await eventually(lambda: _all_there(engine), "all nodes")


async def test_a_node_that_dies_loses_its_jobs_alone(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher
) -> None:
    cluster = harness.cluster
    specs = [harness.spec(("print", "here"), ("sleep-forever",), slots=Slots(cpu_millis=16_000)) for _ in range(2)]
    handles = await engine.launch(specs)
    for spec in specs:
        await watcher.running(spec.attempt_id)
    one, other = [await _node_of(engine, handle) for handle in handles]
    assert one != other
    await printed(engine, handles[0], b"here\n")
    cluster.kill_all(one)
    try:
        end = await watcher.over(specs[0].attempt_id)
        assert (end.phase, end.reason, end.node) == (Phase.LOST, "node-lost", one)
        [status] = await engine.poll([handles[1]])
        assert status.phase is Phase.RUNNING
        away = {node.name: node.away for node in await engine.nodes() if node.away}
        assert list(away) == [one]
        assert "down" in (away[one] or "")
    finally:
        cluster.begin_node(one)
    await eventually(lambda: _all_there(engine), "all nodes")


async def test_a_manager_that_dies_alone_changes_nothing(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher
) -> None:
    spec = harness.spec(("print", "here"), ("sleep", "2"), ("exit", "6"))
    [handle] = await engine.launch([spec])
    await watcher.running(spec.attempt_id)
    node = await _node_of(engine, handle)
    await printed(engine, handle, b"here\n")
    harness.cluster.kill(node)
    try:
        assert await all_over(watcher, [spec]) == [("exit-code", 6)]
    finally:
        harness.cluster.begin_node(node)
    await eventually(lambda: _all_there(engine), "all nodes")


async def test_a_supervisor_that_is_killed_is_a_lost_node(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher
) -> None:
    spec = harness.spec(("print", "here"), ("sleep-forever",))
    [handle] = await engine.launch([spec])
    await watcher.running(spec.attempt_id)
    await printed(engine, handle, b"here\n")
    for pid in harness.cluster.processes():
        if b"dais.node.bundle" in words_of(pid):
            os.kill(pid, 9)
    end = await watcher.over(spec.attempt_id)
    assert (end.phase, end.reason) == (Phase.LOST, "node-lost")
    assert "the node supervisor" in (end.detail or "")
    assert not [pid for pid in harness.cluster.processes() if words_of(pid).startswith(b"sleep")]


def serve_until(harness: SlurmHarness, specs: list[LaunchSpec], taken: int) -> None:
    """A server of its own launches these, and is killed when Slurm has taken so many. Blocking."""
    given = msgspec.json.encode((harness.cluster.options(), specs))
    with subprocess.Popen([sys.executable, "-c", SERVER, str(harness.directory)], stdin=subprocess.PIPE) as server:
        assert server.stdin is not None
        server.stdin.write(given)
        server.stdin.close()
        until(lambda: len(list((harness.directory / "attempts").glob("*/job"))) >= taken, "some that were taken")
        server.kill()


async def test_a_server_that_is_killed_as_it_launches_runs_everything_once(harness: SlurmHarness) -> None:
    tally = Tally(harness)
    specs = [tally.spec("sleep 1", "exit 7") for _ in range(24)]
    await asyncio.to_thread(serve_until, harness, specs, 4)
    await asyncio.to_thread(serve_until, harness, specs, 12)
    engine = await harness.open()
    try:
        async with watching(engine) as watcher:
            await engine.launch(specs)
            assert await all_over(watcher, specs) == [("exit-code", 7)] * 24
    finally:
        await engine.close()
    assert tally.runs(specs) == [1] * 24


def forgetful(harness: SlurmHarness) -> Path:
    """A directory with Slurm's commands, in which sbatch hands jobs over and never hears of it."""
    place = harness.directory / "bin"
    place.mkdir()
    for name in ("squeue", "scancel", "scontrol", "sinfo"):
        (place / name).symlink_to(needs_program(name))
    said = "Socket timed out on send/recv operation"
    (place / "sbatch").write_text(f'#!/bin/sh\n{needs_program("sbatch")} "$@" >/dev/null\necho "{said}" >&2\nexit 1\n')
    (place / "sbatch").chmod(0o755)
    harness.directory.chmod(0o755)
    return place


async def test_an_answer_that_is_lost_is_no_second_job(harness: SlurmHarness) -> None:
    tally = Tally(harness)
    specs = [tally.spec("exit 8") for _ in range(3)]
    engine = await harness.open(bin=str(forgetful(harness)))
    try:
        async with watching(engine) as watcher:
            await engine.launch(specs)
            assert await all_over(watcher, specs) == [("exit-code", 8)] * 3
        assert engine.commands.calls["sbatch"] == 3
    finally:
        await engine.close()
    assert tally.runs(specs) == [1] * 3


async def test_what_others_end_is_told_with_what_they_did(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher
) -> None:
    cluster = harness.cluster
    blocker = cluster.run("sbatch", "--parsable", "-N4", "--exclusive", "--chdir=/", "--output=/dev/null",
                          "--wrap=sleep 600")  # fmt: skip
    await eventually(lambda: _is(cluster.run("squeue", "-h", "-j", blocker, "-o%T") == "RUNNING"), "the other job")
    waits, runs = harness.spec(("sleep-forever",)), harness.spec(("trap-term",), ("sleep-forever",))
    [handle] = await engine.launch([waits])
    await eventually(lambda: _waits_for(engine, handle, "Resources"), "a reason to wait")
    others = [node.others for node in await engine.nodes()]
    assert [(one.cpu_millis, one.memory) for one in others] == [(16_000, 8_000 << 20)] * 4
    cluster.run("scancel", "--quiet", f"--name=dais-{waits.attempt_id}")
    end = await watcher.over(waits.attempt_id)
    assert (end.phase, end.reason, end.stop_reason) == (Phase.ENDED, "stopped", None)
    assert "cancelled in Slurm" in (end.detail or "")
    cluster.run("scancel", "--quiet", blocker)
    [handle] = await engine.launch([runs])
    await watcher.running(runs.attempt_id)
    cluster.run("scancel", "--quiet", f"--name=dais-{runs.attempt_id}")
    end = await watcher.over(runs.attempt_id)
    assert (end.phase, end.reason) == (Phase.ENDED, "stopped")
    assert "cancelled in Slurm" in (end.detail or "")
    assert [node.others.cpu_millis for node in await engine.nodes()] == [0] * 4


async def test_what_slurm_can_never_run_is_refused_with_its_words(
    harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher
) -> None:
    spec = harness.spec(("exit", "0"), slots=Slots(cpu_millis=64_000))
    await engine.launch([spec])
    end = await watcher.over(spec.attempt_id)
    assert (end.phase, end.reason) == (Phase.ENDED, "launch-failed")
    assert "node configuration is not available" in (end.detail or "")
    assert max(node.cpu for node in await engine.nodes()) == 16  # by which a submit is refused before
    with pytest.raises(LaunchRefused, match=r"[Ii]nvalid partition"):
        await harness.open(partition="mian")


async def test_a_job_gets_no_more_time_than_its_partition_gives(harness: SlurmHarness) -> None:
    cluster = harness.cluster
    cluster.run("scontrol", "update", "partitionname=main", "maxtime=60")
    try:
        engine = await harness.open()
        try:
            assert {node.longest for node in await engine.nodes()} == {3600}  # by which a submit is refused before
            spec = harness.spec(("exit", "0"), limits=Limits(time=3600))  # with the time to end it is more
            async with watching(engine) as watcher:
                await engine.launch([spec])
                assert (await watcher.over(spec.attempt_id)).exit_code == 0
        finally:
            await engine.close()
    finally:
        cluster.run("scontrol", "update", "partitionname=main", "maxtime=infinite")


async def test_gpus_are_asked_for_and_seen(harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher) -> None:
    gpus = (await engine.nodes())[0].gpus
    assert len(gpus) == 2
    both = harness.spec(("env", "CUDA_VISIBLE_DEVICES"), ("sleep-forever",), gpus=gpus)
    [handle] = await engine.launch([both])
    await watcher.running(both.attempt_id)
    await printed(engine, handle, b"0,1\n")
    held = harness.cluster.run("squeue", "--noheader", "--format=%b", f"--name=dais-{both.attempt_id}")
    assert held.endswith("gpu:2")


async def test_two_hundred_jobs_in_a_burst(harness: SlurmHarness, engine: SlurmEngine, watcher: Watcher) -> None:
    tally = Tally(harness)
    specs = [tally.spec(f"exit {number % 50}") for number in range(200)]
    await engine.launch(specs)
    async with asyncio.timeout(4 * PATIENCE):
        for number, spec in enumerate(specs):
            await watcher.until(lambda spec=spec: spec.attempt_id in watcher.told)  # type: ignore[misc]
            end = await watcher.over(spec.attempt_id)
            assert (end.reason, end.exit_code) == ("exit-code", number % 50)
    assert tally.runs(specs) == [1] * 200
    calls = engine.commands.calls
    assert calls["sbatch"] == len(specs)  # none was taken for lost, and handed over again
    assert sum(calls.values()) <= 2 * len(specs), calls


async def _is(value: bool) -> bool:
    return value


async def _all_there(engine: SlurmEngine) -> bool:
    return all(node.away is None for node in await engine.nodes())


async def _waits_for(engine: SlurmEngine, handle: Handle, why: str) -> bool:
    [status] = await engine.poll([handle])
    return status.phase is Phase.QUEUED and why in (status.detail or "")


async def _node_of(engine: SlurmEngine, handle: Handle) -> str:
    """Where it runs; its supervisor may have told of it before Slurm did."""

    async def known() -> bool:
        return (await engine.poll([handle]))[0].node is not None

    await eventually(known, "the node")
    return (await engine.poll([handle]))[0].node or ""
