"""The engines that the contract suite runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.containers import ContainerHarness, Daemons
from tests.support.engines import Harness, make_harness
from tests.support.slurm_harness import RestHarness, SlurmHarness

SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("docker", "podman", "slurm", "slurm-rest")]


@pytest.fixture(params=["fake", "local-process", "local-sandbox", *SLOW])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    """A machine of each kind; everything on it is ended afterwards."""
    if request.param == "slurm":
        made: Harness = SlurmHarness(request.getfixturevalue("slurm"))
    elif request.param == "slurm-rest":
        made = RestHarness(request.getfixturevalue("slurm"))
    elif request.param in ("docker", "podman"):
        daemons: Daemons = request.getfixturevalue("daemons")
        made = ContainerHarness(daemons.get(request.param), tmp_path)
    else:
        made = make_harness(request.param, tmp_path)
    try:
        yield made
    finally:
        await made.close()
