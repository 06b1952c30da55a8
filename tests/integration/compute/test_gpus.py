"""GPUs are given out whole, by UUID, and never to two runs at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dais.compute import list_nodes, retry_job
from dais.compute.jobs.gpus import held_gpus, hold_gpus
from dais.engines.contract import NodeInfo
from dais.kit.clock import ManualClock
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Conflict
from dais.wire.answers import JobDetail
from dais.wire.spec import Resources
from tests.support.world import World, running

pytestmark = pytest.mark.anyio

UUIDS = tuple(f"GPU-{number}" for number in range(4))


@pytest.fixture
async def world(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[World]:
    made = World(database, clock, tmp_path)
    made.machine.nodes = [NodeInfo(name="fake-1", cpu=8.0, memory=32 << 30, gpus=UUIDS, isolation={"mode": "sandbox"})]
    async with running(made):
        yield made


def asks(gpu: int) -> Resources:
    return Resources(cpu=0.1, mem=1 << 20, gpu=gpu)


def given(job: JobDetail) -> list[str]:
    return job.runs[-1].gpus


async def test_runs_hold_different_gpus_and_the_queue_waits_for_free_ones(world: World) -> None:
    first = await world.submit("sleep-forever", resources=asks(3))
    second = await world.submit("sleep-forever", resources=asks(1))
    third = await world.submit("sleep-forever", resources=asks(2))
    jobs = [await world.state(job, "RUNNING") for job in (first, second)]
    assert sorted(given(jobs[0]) + given(jobs[1])) == sorted(UUIDS)
    assert (await world.job(third)).state == "PENDING"
    await world.kill(first)
    await world.finished(first)
    last = await world.state(third, "RUNNING")
    assert len(given(last)) == 2
    assert not set(given(last)) & set(given(jobs[1]))
    assert given(await world.job(first)) == given(jobs[0]), "what it had is remembered"


async def test_the_launch_names_them_and_the_job_sees_no_others(world: World) -> None:
    with_two = await world.state(await world.submit("sleep-forever", resources=asks(2)), "RUNNING")
    without = await world.state(await world.submit("sleep-forever", resources=asks(0)), "RUNNING")
    launched = {spec.attempt_id: spec for spec in world.machine.launched}
    spec = launched[with_two.runs[-1].id]
    assert list(spec.gpus) == given(with_two)
    assert spec.env["CUDA_VISIBLE_DEVICES"] == spec.env["NVIDIA_VISIBLE_DEVICES"] == ",".join(given(with_two))
    bare = launched[without.runs[-1].id]
    assert (bare.gpus, bare.env["CUDA_VISIBLE_DEVICES"], bare.env["NVIDIA_VISIBLE_DEVICES"]) == ((), "", "none")


async def test_what_is_free_is_told(world: World) -> None:
    job = await world.state(await world.submit("sleep-forever", resources=asks(3)), "RUNNING")
    (node,) = await world.db.read(list_nodes, world.actor)
    assert (node.gpu, node.free_gpu, node.gpus) == (4, 1, list(UUIDS))
    await world.kill(job.id)
    await world.finished(job.id)
    (node,) = await world.db.read(list_nodes, world.actor)
    assert node.free_gpu == 4


async def test_a_restart_and_a_retry_give_nothing_away_twice(world: World) -> None:
    held = await world.state(await world.submit("sleep-forever", resources=asks(2)), "RUNNING")
    ends = await world.finished(await world.submit("exit", "1", resources=asks(2)))
    await world.stop()
    await world.start()
    await world.db.write(retry_job, world.actor, ends.id, world.settings)
    again = await world.finished(ends.id)
    assert again.run_index == 1
    assert not set(given(again)) & set(given(held))
    more = await world.state(await world.submit("sleep-forever", resources=asks(2)), "RUNNING")
    assert sorted(given(more) + given(held)) == sorted(UUIDS)


async def test_a_gpu_that_fell_off_the_bus_is_not_given_out(world: World) -> None:
    job = await world.state(await world.submit("sleep-forever", resources=asks(1)), "RUNNING")
    [taken] = given(job)
    left = tuple(uuid for uuid in UUIDS if uuid != taken)[:2]
    world.machine.nodes = [NodeInfo(name="fake-1", cpu=8.0, memory=32 << 30, gpus=left)]
    await world.stop()
    await world.start()
    both = await world.state(await world.submit("sleep-forever", resources=asks(2)), "RUNNING")
    assert sorted(given(both)) == sorted(left)


async def test_the_database_refuses_to_give_one_gpu_to_two_runs(world: World) -> None:
    one = await world.state(await world.submit("sleep-forever", resources=asks(1)), "RUNNING")
    other = await world.state(await world.submit("sleep-forever", resources=asks(0)), "RUNNING")

    def steal(uow: UnitOfWork) -> None:
        hold_gpus(uow, other.runs[-1].id, "fake-1", given(one))

    with pytest.raises(Conflict):
        await world.db.write(steal)
    assert await world.db.read(held_gpus) == {("fake-1", given(one)[0])}
