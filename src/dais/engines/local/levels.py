"""The levels of isolation, strongest first, and which of them a machine gives. `docs/isolation.md` tells them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LEVELS = {
    "strong": "each job runs in a sandbox, as a user of its own",
    "shared": "each job runs in a sandbox, as a user that all jobs share and that is not Dais's",
    "sandbox": "each job runs in a sandbox, as the user who runs Dais",
    "process": "jobs are process groups with limits: nothing keeps them from each other's files, processes or network",
}


def level(probed: Mapping[str, Any], isolation: str) -> str:
    """The level that a machine gives, by what its supervisor's probe found and how jobs run (sandbox or process)."""
    if isolation != "sandbox" or probed.get("bwrap") is not True:
        return "process"
    if probed.get("uid_drop") is not True:
        return "sandbox"
    return "strong" if probed.get("uid_lease") is True else "shared"
