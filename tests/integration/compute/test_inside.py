"""Programs of ours inside jobs: on every engine there is a Python for them, or it is said that there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dais.compute import add_image, python_in, run_program
from dais.engines.contract import Rooted
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Unavailable
from tests.support.containers import ContainerHarness, Daemons
from tests.support.engines import Harness, make_harness
from tests.support.real_world import RealWorld, all_of, real_world
from tests.support.roots import python_root, small_root
from tests.support.slurm_harness import SlurmHarness
from tests.support.world import GROUP

pytestmark = pytest.mark.anyio

PROGRAM = """
import os, sys
assert sys.version_info >= (3, 8), sys.version
print(sys.argv[1:], os.environ["WORD"], os.environ["DAIS_JOB_ID"])
print(sys.stdin.read().upper(), file=sys.stderr)
open("made", "w").close()
sys.exit(7)
"""


@pytest.fixture
async def world(harness: Harness, database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[RealWorld]:
    async with real_world(database, clock, tmp_path, harness) as world:
        yield world


@pytest.fixture(
    params=["local-process", "local-sandbox", *(pytest.param(k, marks=pytest.mark.slow) for k in ("docker", "slurm"))]
)
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Harness:
    if request.param == "slurm":
        return SlurmHarness(request.getfixturevalue("slurm"))
    if request.param == "docker":
        daemons: Daemons = request.getfixturevalue("daemons")
        return ContainerHarness(daemons.get("docker"), tmp_path)
    return make_harness(request.param, tmp_path)


async def test_a_program_is_sent_and_run_as_the_jobs_user(world: RealWorld) -> None:
    work = await world.running_job()
    assert world.compute is not None
    stream = await run_program(world.compute, work, PROGRAM, "a b", "$c", env={"WORD": "yes"})
    await stream.send(b"typed")
    await stream.send_eof()
    assert await all_of(stream) == (f"['a b', '$c'] yes {work.job_id}\n".encode(), b"TYPED\n", 7)
    await world.kill(work.job_id)
    await world.finished(work.job_id)


@pytest.mark.parametrize("harness", ["local-sandbox"], indirect=True)
async def test_a_registered_root_has_its_own_python_or_none(
    world: RealWorld, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert world.compute is not None
    roots = tmp_path_factory.mktemp("roots")
    roots.chmod(0o755)
    assert isinstance(world.engine, Rooted)
    for name, make in (("with", python_root), ("without", small_root)):
        (place := roots / name).mkdir(mode=0o755)
        await asyncio.to_thread(make, place)
        facts = await world.engine.add_root(str(place))
        await world.db.write(add_image, world.actor, GROUP, name, str(place), facts)
    work = await world.running_job(image="with")
    stream = await run_program(world.compute, work, PROGRAM, env={"WORD": "yes"})
    await stream.send_eof()
    assert (await all_of(stream))[2] == 7
    without = await world.running_job(image="without")
    with pytest.raises(Unavailable, match="has no Python") as refused:
        await python_in(world.compute, without)
    assert refused.value.code == "no-python"
    for job in (work, without):
        await world.kill(job.job_id)
        await world.finished(job.job_id)
