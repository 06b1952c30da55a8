"""Asking again while the platform is away or has no room."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from dais.sdk.errors import DaisError
from tests.support.installation import PATIENCE

PASSING = ("unreachable", "disk-full", "stopping", "database-locked")
"""Codes of what is over soon."""


def patiently(act: Callable[[], Any], *, there_is_fine: bool = False, gone_is_fine: bool = False) -> Any:
    """Do it again while the platform is away or has no room; what was done already is fine where it is said so."""
    deadline = time.monotonic() + 2 * PATIENCE
    while True:
        try:
            return act()
        except DaisError as error:
            if (there_is_fine and error.code == "folder-exists") or (gone_is_fine and error.code == "no-such-folder"):
                return None
            if error.code not in PASSING or time.monotonic() > deadline:
                raise
        time.sleep(0.2)
