"""The clock of fake machines."""

from __future__ import annotations

from typing import Protocol

SECOND = 1_000_000
"""Microseconds in a second."""


class MovableClock(Protocol):
    """Tells the time in µs since the epoch, and moves when told to."""

    def now(self) -> int: ...
    def advance(self, seconds: float) -> None: ...


class StandingClock:
    """A clock that only `advance` moves."""

    def __init__(self, now: int = 1_700_000_000 * SECOND) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * SECOND)
