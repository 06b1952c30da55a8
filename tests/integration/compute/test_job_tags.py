"""Jobs are found by the tags of their specification, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.compute import JOB, JobChange, remove_job, set_job
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.provenance import find
from dais.wire.meta import Condition
from tests.support.world import World, running

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


async def tagged(world: World, *where: Condition) -> list[str]:
    """The jobs that `dais find` finds."""
    return [one.id for one in (await world.db.read(find, world.actor, JOB, where)).items]


async def test_jobs_are_found_by_the_tags_that_they_were_submitted_with(world: World) -> None:
    async with running(world):
        tags = {"model": "cnn", "epochs": "5", "best": "", "__state__": "x", "漢" * 63: "y"}
        job_id = await world.submit("exit", "0", tags=tags)
        other = await world.submit("exit", "0", tags={"model": "rnn", "epochs": "2"})
        assert await tagged(world, Condition(key="model", value="cnn")) == [job_id]
        assert await tagged(world, Condition(key="epochs", op=">", value=3)) == [job_id]
        assert await tagged(world, Condition(key="tags", value="best")) == [job_id]
        assert (await world.job(job_id)).tags == tags
        await world.db.write(set_job, world.actor, job_id, JobChange(tags={"model": "rnn"}))
        assert set(await tagged(world, Condition(key="model", value="rnn"))) == {job_id, other}
        assert await tagged(world, Condition(key="tags", value="best")) == []
        await world.finished(job_id)
        for state in ("SUCCEEDED", "succeeded"):
            assert job_id in await tagged(world, Condition(key="__state__", value=state)), "as in `job ls --state`"
        await world.db.write(remove_job, world.actor, job_id)
        assert await tagged(world, Condition(key="model", value="rnn")) == [other]
