"""Installations for the acceptance tests."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import places
from tests.support.installation import Installation, installation
from tests.support.places import open_place

DISK = 48 << 20

SOON = {"DAIS_COMPUTE_STOP_GRACE": "1"}
"""What ignores TERM is killed after a second, not after ten."""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory that every user may enter: as root, the server is another one than these tests."""
    with open_place() as place:
        yield place


@pytest.fixture
def own() -> Iterator[Installation]:
    """An installation of the test's own, which it may break."""
    with installation(settings=SOON) as running:
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


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    with places.small_disk(tmp_path / "disk", f"size={DISK},mode=0711") as place:
        yield place
