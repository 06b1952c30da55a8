"""What units of work of the task at hand have failed with: for an edge that must know of it, whoever handles it."""

from __future__ import annotations

from contextvars import ContextVar

from dais.kit.errors import DaisError

failures: ContextVar[list[DaisError] | None] = ContextVar("failures", default=None)
"""A list that errors of `write` are appended to; None: nobody asks. A task that sets it has one of its own."""


def noted(error: DaisError) -> DaisError:
    """The error itself, which whoever asks is told of."""
    found = failures.get()
    if found is not None:
        found.append(error)
    return error
