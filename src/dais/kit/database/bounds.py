"""How long a reading verb may take: a question that no index serves ends with an error, not with a busy database."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from dais.kit.errors import Invalid

V = TypeVar("V", bound=Callable[..., Any])

LOOK_AT_CLOCK = 20_000
"""Instructions of SQLite's machine between two looks at the clock: well under a millisecond."""


def within(seconds: float) -> Callable[[V], V]:
    """Let a reading verb take so long in all, in whatever database: then it raises Invalid `query-too-slow`."""

    def mark(verb: V) -> V:
        verb.within_seconds = seconds  # type: ignore[attr-defined]
        return verb

    return mark


class Bound:
    """The time that a verb has, from now on; without a limit it is never over."""

    def __init__(self, verb: Callable[..., Any]) -> None:
        self.seconds: float | None = getattr(verb, "within_seconds", None)
        self.until = None if self.seconds is None else time.perf_counter() + self.seconds

    def is_over(self) -> bool:
        return self.until is not None and time.perf_counter() > self.until

    def error(self) -> Invalid:
        """What is raised once it is over."""
        return Invalid(
            f"the query takes longer than {self.seconds:g} s; add a condition that fewer meet (a key with = or a "
            "range, a tag), leave out the order, or ask for less at once",
            code="query-too-slow",
            seconds=self.seconds,
        )
