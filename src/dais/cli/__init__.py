"""The commands. Modules are imported when their command is used, so that `dais --help` answers at once."""

from __future__ import annotations

import gc
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dais.cli.base import Program
    from dais.cli.program import cli as main

__all__ = ["imported", "main"]


def __getattr__(name: str) -> Any:
    """`main` is the program: a click group that, called, runs the command of sys.argv and returns its exit code."""
    if name != "main":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return imported("dais.cli.program")


def imported(module: str) -> Program:
    """The program `cli` of a module. What it imports stays, and is never looked through for garbage."""
    gc.disable()
    program: Program = importlib.import_module(module).cli
    gc.freeze()
    gc.enable()
    return program
