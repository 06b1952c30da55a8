"""What is said of an interactive job that is about to be stopped."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from dais.compute.interactive.tables import idle_watches
from dais.kit.clock import to_rfc3339
from dais.kit.database import Statement, UnitOfWork

_warned = Statement(select(idle_watches.c.ends_at).where(idle_watches.c.run_id == bindparam("run_id")))


def idle_warning(uow: UnitOfWork, run_id: str) -> str | None:
    """When a run is about to be stopped, for people; None: it is not."""
    ends_at = uow.scalar(_warned, run_id=run_id)
    return None if ends_at is None else words_of(ends_at)


def words_of(ends_at: int) -> str:
    """The warning."""
    return (
        f"Nothing happens in this job. It is stopped at {to_rfc3339(ends_at)[11:19]} UTC unless it is used: "
        "type in a terminal, run a command, or open one of its apps."
    )
