"""Where a running container is entered, for commands and connections."""

from __future__ import annotations

from dais.node import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dais.node.attempt import Attempt

READY_TRIES, READY_POLL = 2000, 0.005
"""How often to ask, and seconds in between: a container that is just starting is waited for."""


def inside(attempt: Attempt) -> int | None:
    """A process in the sandbox, once that is built; 0 for a container without one, None before it has started."""
    if attempt.launched is None:
        return None
    if attempt.launched.contained:
        from dais.node import apptainer  # few nodes have it

        return apptainer.inside(attempt)
    if not attempt.launched.sandboxed:
        return 0
    running = processes.children(attempt.init) if attempt.init else []
    return running[0] if running else None
