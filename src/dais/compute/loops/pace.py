"""How soon one tick of a dispatcher follows another.

A tick costs about as much whatever it has to do, so what happens within a moment is best decided together. But who
submits one job to an idle machine shall not wait for others: a tick is held back only where nobody can tell.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dais.compute.loops.tick import Outcome
from dais.engines.contract import Status
from dais.kit.meters import Histogram

PACE_SECONDS = 0.015
"""From the beginning of a tick to that of the next, where it is held back."""
AHEAD_SECONDS = 0.1
"""For how long ticks are held back after one that handed runs over ahead."""


class Pace:
    """Measures ticks, and holds the next one back after two kinds of them.

    - Short runs have ended, and others were handed over ahead of them: the engine has something to do meanwhile.
    - Nothing was to be decided, twice in a row: jobs are submitted to a machine that is full.
    """

    def __init__(self, ticks: Histogram, clock: Callable[[], float] = time.perf_counter) -> None:
        self._ticks = ticks
        self._clock = clock
        self._begun = 0.0
        self._idle = 0
        self._ahead_until = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """One tick, with what it does in the world."""
        self._begun = self._clock()
        yield
        self._ticks.note(self._clock() - self._begun)

    def note(self, told: Sequence[Status], outcome: Outcome, *, backfills: bool) -> None:
        """What a tick was told, and what came of it."""
        if backfills and outcome.returned and outcome.launches:
            self._ahead_until = self._begun + AHEAD_SECONDS
        self._idle = 0 if told or outcome.launches or outcome.preparations or outcome.stops else self._idle + 1

    @property
    def seconds(self) -> float:
        """How long the next tick is held back from now on."""
        now = self._clock()
        if now > self._ahead_until and self._idle < 2:
            return 0.0
        return max(0.0, self._begun + PACE_SECONDS - now)

    async def wait(self) -> None:
        """Return when the next tick may begin."""
        if seconds := self.seconds:
            await asyncio.sleep(seconds)
