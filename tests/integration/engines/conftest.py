"""What the tests of one engine share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.slurm import Cluster
from tests.support.slurm_harness import SlurmHarness


@pytest.fixture
async def harness(slurm: Cluster) -> AsyncIterator[SlurmHarness]:
    """Slurm, whose nodes have been looked at; the modules of other engines have harnesses of their own."""
    made = SlurmHarness(slurm)
    await (await made.open()).close()
    try:
        yield made
    finally:
        await made.close()
