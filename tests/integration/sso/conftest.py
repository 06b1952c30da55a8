"""A site, and a provider that forges."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dais.kit.clock import ManualClock, SystemClock
from dais.kit.database import Database
from tests.support.openid import Provider, openid_provider
from tests.support.site import Site, running_site
from tests.support.world import World


@pytest.fixture
def clock() -> ManualClock:
    """The real provider knows what time it is."""
    return ManualClock(SystemClock().now())


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


@pytest.fixture
def forger() -> Iterator[Provider]:
    with openid_provider() as provider:
        yield provider
