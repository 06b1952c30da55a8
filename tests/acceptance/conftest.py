"""Installations for the acceptance tests."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Installation, installation

SOON = {"DAIS_COMPUTE_STOP_GRACE": "1"}
"""What ignores TERM is killed after a second, not after ten."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Installation]:
    """An installation of the test's own, which it may break."""
    with installation(tmp_path, settings=SOON) as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[Installation]:
    """One installation for the tests of a module, which must leave it well."""
    with installation(settings=SOON) as running:
        yield running


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Randomness whose seed is printed when the test fails, and can be given again as ACCEPTANCE_SEED."""
    seed = int(os.environ.get("ACCEPTANCE_SEED") or random.randrange(1 << 32))
    print(f"{request.node.name}: seed {seed}")  # noqa: T201 (pytest shows it with a failure)
    return random.Random(seed)
