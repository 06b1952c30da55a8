"""Which network a job may ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dais.compute import check_spec
from dais.engines.contract import NodeInfo
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Forbidden, Invalid
from dais.wire.spec import JobSpec
from tests.support.world import World, running

pytestmark = pytest.mark.anyio
WISH = JobSpec(command=("x",), network="internet")


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


def _is(world: World, **isolation: Any) -> None:
    world.machine.nodes = [NodeInfo(name="one", cpu=8.0, memory=32 << 30, isolation=isolation)]


async def test_the_internet_is_given_where_it_works(world: World) -> None:
    _is(world, mode="sandbox", internet=True)
    async with running(world):
        user = msgspec.structs.replace(world.actor, administrator=False)
        assert (await world.db.read(check_spec, user, WISH, world.settings)).warnings == ()
        with pytest.raises(Forbidden, match="for administrators"):
            await world.db.read(check_spec, user, JobSpec(command=("x",), network="host"), world.settings)


@pytest.mark.parametrize(
    "isolation, words",
    [
        ({"mode": "sandbox", "internet": "pasta is not installed"}, "one .*pasta is not installed.*dais doctor"),
        ({"mode": "process", "internet": True}, "no sandbox"),
        ({"mode": "sandbox"}, "given no network for that"),
    ],
)
async def test_the_internet_is_refused_with_what_is_missing(
    world: World, isolation: dict[str, Any], words: str
) -> None:
    _is(world, **isolation)
    async with running(world):
        with pytest.raises(Invalid, match=words) as refused:
            await world.db.read(check_spec, world.actor, WISH, world.settings)
        assert refused.value.code == "no-internet"
