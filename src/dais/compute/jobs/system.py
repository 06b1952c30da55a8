"""Jobs of type `system`, which are the installation's own: what their account's members may do with them."""

from __future__ import annotations

from dais.kit.database import Row
from dais.kit.errors import Conflict

OWNER = "(installation)"
"""As whose they are shown: no user has such a name."""
_allowed = ("job:get", "job:logs", "job:kill", "job:rm")


def check_system(row: Row, action: str) -> None:
    """Nobody is let into a sandbox, or changes its job, before it becomes somebody's. Raises Conflict."""
    if row.type == "system" and action not in _allowed:
        raise Conflict(
            f"job {row.id} is a sandbox that waits for whoever opens a session: nothing can be done in it before; open "
            "one with `dais code run`",
            code="kept-for-sessions",
            job=row.id,
        )
