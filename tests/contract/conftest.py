"""The engines that the contract suite runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dais.engines.contract import Engine
from tests.support.containers import ContainerHarness, Daemons
from tests.support.engines import Harness, Watcher, make_harness, watching
from tests.support.slurm_harness import SlurmHarness

SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("docker", "podman", "slurm")]


@pytest.fixture(params=["fake", "local-process", "local-sandbox", *SLOW])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    """A machine of each kind; everything on it is ended afterwards."""
    if request.param == "slurm":
        made: Harness = SlurmHarness(request.getfixturevalue("slurm"))
    elif request.param in ("docker", "podman"):
        daemons: Daemons = request.getfixturevalue("daemons")
        made = ContainerHarness(daemons.get(request.param), tmp_path)
    else:
        made = make_harness(request.param, tmp_path)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def engine(harness: Harness) -> AsyncIterator[Engine]:
    """A started engine on the machine."""
    opened = await harness.open()
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def watcher(engine: Engine) -> AsyncIterator[Watcher]:
    """Follows the engine and acknowledges what it tells."""
    async with watching(engine) as follower:
        yield follower
