"""Counting what happens, for `/metrics`: plain numbers, so that counting costs next to nothing; read when asked for."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Histogram:
    """How often a value was at most each bound. For one thread at a time."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def note(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many were at most that), as Prometheus wants them; the last bound is +Inf."""
        found, sum_ = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            sum_ += count
            found.append((bound, float(sum_)))
        return found


class DatabaseMeter:
    """What one process does with its database: transactions that write, and what verbs tallied in those committed."""

    def __init__(self) -> None:
        self.seconds = Histogram()
        self.sizes = Histogram(SIZES)
        self.failed = 0
        self.tallies: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def committed(self, seconds: float, verbs: int, tallies: Iterable[tuple[str, ...]]) -> None:
        """A transaction of so many verbs is durable."""
        with self._lock:
            self.seconds.note(seconds)
            self.sizes.note(verbs)
            for key in tallies:
                self.tallies[key] = self.tallies.get(key, 0) + 1

    def lost(self) -> None:
        """A transaction could not be committed."""
        with self._lock:
            self.failed += 1
