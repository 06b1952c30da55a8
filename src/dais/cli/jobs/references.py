"""Naming jobs on the command line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")

_last = click.option("--last", is_flag=True, help="Your newest job.")


def one_job(function: Callable[..., R]) -> Callable[..., R]:
    """The command takes one job, as the parameter `ref`."""

    @click.argument("ref", metavar="JOB", required=False)
    @_last
    @functools.wraps(function)
    def command(*args: Any, ref: str | None, last: bool, **kwargs: Any) -> R:
        return function(*args, ref=_one(ref, last), **kwargs)

    return command


def many_jobs(function: Callable[..., R]) -> Callable[..., R]:
    """The command takes one or more jobs, as the parameter `refs`."""

    @click.argument("refs", metavar="JOB...", nargs=-1)
    @_last
    @functools.wraps(function)
    def command(*args: Any, refs: tuple[str, ...], last: bool, **kwargs: Any) -> R:
        chosen = (*refs, "last") if last else refs
        if not chosen or "" in chosen:
            raise _missing()
        return function(*args, refs=chosen, **kwargs)

    return command


def _one(ref: str | None, last: bool) -> str:
    if last and ref:
        raise click.UsageError(f"{ref!r} and --last are two jobs; name one")
    if not last and not ref:
        raise _missing()
    return ref or "last"


def _missing() -> click.UsageError:
    return click.UsageError("name a job (its id, number or name), or say --last")
