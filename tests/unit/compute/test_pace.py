"""How long a tick waits for the one before it."""

from __future__ import annotations

from typing import Any

import pytest

from dais.compute.loops.pace import AHEAD_SECONDS, PACE_SECONDS, Pace
from dais.compute.loops.tick import Outcome
from dais.engines.contract import Phase, Slots, Status
from dais.kit.meters import Histogram

ENDED = Status(attempt_id="a", phase=Phase.ENDED)
WORK: Any = [object()]
SLOTS = {"n1": Slots(cpu_millis=1, memory=1)}
NOTHING, LAUNCHED, OVER = Outcome(), Outcome(launches=WORK), Outcome(returned=SLOTS)
SHORT = Outcome(returned=SLOTS, launches=WORK)


class Ticks:
    """Ticks at given seconds, each over at once."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seen = Histogram()
        self.pace = Pace(self.seen, lambda: self.now)

    def tick(self, at: float, outcome: Outcome = NOTHING, *told: Status, backfills: bool = True) -> float:
        """One tick; how long the next is held back."""
        self.now = at
        with self.pace.measured():
            self.pace.note(told, outcome, backfills=backfills)
        return self.pace.seconds


def test_nothing_waits_on_a_machine_with_room() -> None:
    ticks = Ticks()
    assert ticks.tick(1.0, LAUNCHED) == 0
    assert ticks.tick(1.0) == 0, "woken by what itself has written"
    assert ticks.tick(1.0, OVER, ENDED) == 0
    assert ticks.tick(1.0, LAUNCHED) == 0


def test_where_runs_were_handed_over_ahead_the_next_ticks_are_held_back() -> None:
    ticks = Ticks()
    assert ticks.tick(1.0, SHORT, ENDED) == pytest.approx(PACE_SECONDS)
    assert ticks.tick(1.0, NOTHING, ENDED) == pytest.approx(PACE_SECONDS), "those that only tell of starts, too"
    ticks.now += PACE_SECONDS / 3
    assert ticks.pace.seconds == pytest.approx(PACE_SECONDS * 2 / 3), "from its beginning"
    assert ticks.tick(1.0 + 2 * AHEAD_SECONDS, NOTHING, ENDED) == 0, "and for a moment only"


def test_an_engine_that_keeps_nothing_ahead_is_not_kept_waiting() -> None:
    assert Ticks().tick(1.0, SHORT, ENDED, backfills=False) == 0


def test_submits_to_a_full_machine_are_looked_at_together() -> None:
    ticks = Ticks()
    assert ticks.tick(1.0) == 0
    assert ticks.tick(1.0) == pytest.approx(PACE_SECONDS)
    assert ticks.tick(1.0, NOTHING, ENDED) == 0, "something has happened"


def test_ticks_are_counted() -> None:
    ticks = Ticks()
    ticks.tick(1.0)
    assert sum(ticks.seen.counts) == 1
