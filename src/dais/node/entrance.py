"""Where a running container is entered, for commands and connections."""

from __future__ import annotations

from dais.node import processes
from dais.node.attempt import RUNNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dais.node.attempt import Attempt
    from dais.node.connection import Connection
    from dais.node.loop import Loop

READY_TRIES, READY_POLL = 2000, 0.005
"""How often to ask, and seconds in between: a container that is just starting is waited for."""


def when_built(
    loop: Loop,
    connection: Connection,
    attempt: Attempt,
    enter: Callable[[int], None],
    refuse: Callable[[str, str], None],
    tries: int = READY_TRIES,
) -> None:
    """Call `enter` with what is `inside` once the container is built, for before that its namespaces are half made; or
    `refuse` with a code and why, when it has ended or takes long. A connection that has gone is told nothing."""
    if not connection.open:
        return
    if attempt.state not in (RUNNING, "queued"):
        refuse("not-running", f"attempt {attempt.id} has ended")
        return
    found = inside(attempt)
    if found is not None:
        enter(found)
    elif tries > 1:
        loop.later(READY_POLL, lambda: when_built(loop, connection, attempt, enter, refuse, tries - 1))
    else:
        refuse("not-running", f"attempt {attempt.id} has not started yet; try again")


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
