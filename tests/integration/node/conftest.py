"""Real supervisors for the tests of the node."""

from __future__ import annotations

import pytest

from tests.support.needs import needs_bwrap
from tests.support.supervisor import control, node

__all__ = ["control", "isolation", "node"]


@pytest.fixture(params=["process", "sandbox"])
def isolation(request: pytest.FixtureRequest) -> str:
    """Each way to run a container; the sandbox only where bubblewrap works."""
    if request.param == "sandbox":
        needs_bwrap()
    return str(request.param)
