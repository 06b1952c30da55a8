"""The engines that the contract suite runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dais.engines.contract import Engine
from tests.support.engines import Harness, Watcher, make_harness, watching
from tests.support.slurm_harness import SlurmHarness


@pytest.fixture(params=["fake", "local-process", "local-sandbox", pytest.param("slurm", marks=pytest.mark.slow)])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    """A machine of each kind; everything on it is ended afterwards."""
    if request.param == "slurm":
        made: Harness = SlurmHarness(request.getfixturevalue("slurm"))
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
