"""`eai`: the command line of the Element AI Toolkit, with its names, options, columns, states and formats, for Dais."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dais.cli import imported

if TYPE_CHECKING:
    from dais.eai.program import cli as main

__all__ = ["main"]


def __getattr__(name: str) -> Any:
    """`main` is the program: a click group that, called, runs the command of sys.argv and returns its exit code."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return imported("dais.eai.program")
