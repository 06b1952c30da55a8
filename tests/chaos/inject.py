"""Inside a process that chaos may kill: wraps one function, and moves the clock. Standard library only.

What to do is read from a directory: `plan` (JSON: process, target, when, nth) and `clock` (16 bytes: seconds to add).
The one who dies renames `plan` to `fired` first, so that a point fires once.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import json
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

CLOCK_BYTES = 16


def arm(process: str, directory: str) -> None:
    """Prepare this process for what the directory says."""
    _move_clock(f"{directory}/clock")
    plan = f"{directory}/plan"
    try:
        with open(plan, encoding="utf-8") as file:
            wanted = json.load(file)
    except FileNotFoundError:
        return
    if wanted["process"] == process:
        _wrap(wanted["target"], wanted["when"], wanted["nth"], lambda: _die(plan))


def resolve(target: str) -> tuple[Any, str, Callable[..., Any]]:
    """The object that holds a target, the target's name in it, and the function."""
    module, _, path = target.partition(":")
    holder: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        holder = getattr(holder, parent)
    return holder, name, getattr(holder, name)


def _wrap(target: str, when: str, nth: int, die: Callable[[], None]) -> None:
    holder, name, function = resolve(target)
    calls = itertools.count(1)

    def reached() -> None:
        if next(calls) == nth:
            die()

    wrapped: Callable[..., Any]
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            if when == "before":
                reached()
            result = await function(*args, **kwargs)
            if when == "after":
                reached()
            return result

    else:

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if when == "before":
                reached()
            result = function(*args, **kwargs)
            if when == "after":
                reached()
            return result

    setattr(holder, name, wrapped)
    for module in list(sys.modules.values()):  # whoever has imported it by name
        for known, value in list(vars(module).items()):
            if value is function and (module, known) != (holder, name):
                setattr(module, known, wrapped)


def _die(plan: str) -> None:
    try:
        os.rename(plan, f"{os.path.dirname(plan)}/fired")
    except FileNotFoundError:
        return  # another process was faster
    os.kill(os.getpid(), signal.SIGKILL)


def _move_clock(path: str) -> None:
    """Let this process's wall clock be wrong by what the file says, from now on and whenever it changes."""
    with open(path, "r+b") as file:
        page = mmap.mmap(file.fileno(), CLOCK_BYTES)
    true_time, true_time_ns = time.time, time.time_ns
    time.time = lambda: true_time() + int(page[:])
    time.time_ns = lambda: true_time_ns() + int(page[:]) * 1_000_000_000
