"""A few seeds of chaos. `make chaos` runs many, and every named point."""

from __future__ import annotations

import os

import pytest

from tests.chaos.run import run

SEEDS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1 2").split()]


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_dies_nothing_is_lost_doubled_or_left(seed: int) -> None:
    run(seed)
