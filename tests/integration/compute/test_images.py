"""Who may register images, and what jobs of them are told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dais.compute import (
    add_image,
    check_new_image,
    check_spec,
    get_image,
    list_images,
    remove_image,
    store_image_size,
)
from dais.engines.contract import RootFacts
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Conflict, Forbidden, Invalid, NotFound
from dais.wire.spec import JobSpec
from tests.support.world import GROUP, World, running

pytestmark = pytest.mark.anyio
FACTS = RootFacts(system="Debian", python="/usr/bin/python3.11")


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


async def test_only_administrators_register_and_see_where_they_lie(world: World) -> None:
    user = msgspec.structs.replace(world.actor, administrator=False)
    async with running(world):
        with pytest.raises(Forbidden, match="image:new"):
            await world.db.read(check_new_image, user, GROUP, "debian")
        with pytest.raises(Forbidden):
            await world.db.write(add_image, user, GROUP, "debian", "/srv/debian", FACTS)
        made = await world.db.write(add_image, world.actor, GROUP, "debian", "/srv/debian", FACTS)
        assert (made.path, made.system, made.python, made.size) == ("/srv/debian", *("Debian", FACTS.python), None)
        assert [(image.name, image.path) for image in await world.db.read(list_images, user)] == [("debian", None)]
        with pytest.raises(Forbidden, match="image:rm"):
            await world.db.write(remove_image, user, GROUP, "debian")
        await world.db.write(store_image_size, GROUP, "debian", 5)
        assert (await world.db.read(get_image, user, GROUP, "debian")).size == 5


async def test_names_are_unique_in_a_group(world: World) -> None:
    async with running(world):
        await world.db.write(add_image, world.actor, GROUP, "a", "/srv/x", FACTS)
        for name, error in (("a", Conflict), ("host", Conflict), ("A", Invalid), ("", Invalid), ("a" * 64, Invalid)):
            with pytest.raises(error):
                await world.db.write(add_image, world.actor, GROUP, name, "/srv/x", FACTS)
        with pytest.raises(NotFound, match="default"):
            await world.db.write(add_image, world.actor, "nowhere", "b", "/srv/x", FACTS)


async def test_a_path_is_forgotten_with_its_last_image(world: World) -> None:
    async with running(world):
        for name in ("a", "b"):
            await world.db.write(add_image, world.actor, GROUP, name, "/srv/x", FACTS)
        assert await world.db.write(remove_image, world.actor, GROUP, "a") is None
        assert await world.db.write(remove_image, world.actor, GROUP, "b") == "/srv/x"
        with pytest.raises(NotFound):
            await world.db.write(remove_image, world.actor, GROUP, "b")


async def test_a_job_names_an_image_that_there_is(world: World) -> None:
    async with running(world):
        with pytest.raises(Invalid, match="there are: host"):
            await world.db.read(check_spec, world.actor, JobSpec(command=("x",), image="debian"), world.settings)
        await world.db.write(add_image, world.actor, GROUP, "debian", "/srv/debian", FACTS)
        job = await world.finished(await world.submit("print", "hello", image="debian"))
        assert (job.state, job.image) == ("SUCCEEDED", "debian")
