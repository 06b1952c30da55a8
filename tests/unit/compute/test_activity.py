"""What is open inside a run, and when something last happened there."""

from __future__ import annotations

import pytest

from dais.compute import Activity
from dais.kit.clock import SECOND, ManualClock


def test_what_is_open_is_counted_by_its_kind_and_its_end_is_activity_too() -> None:
    clock = ManualClock()
    activity = Activity(clock)
    with activity.open("run", "terminal"), activity.open("run", "terminal"):
        assert activity.opened("run") == {"terminal": 2}
        clock.advance(60)
    assert activity.opened("run") == {}
    assert activity.last("run") == {"terminal": clock.now()}


def test_what_fails_inside_is_closed_all_the_same() -> None:
    activity = Activity(ManualClock())
    with pytest.raises(ConnectionError), activity.open("run", "connection"):
        raise ConnectionError
    assert activity.opened("run") == {}


def test_a_run_of_which_nothing_is_known_has_done_nothing() -> None:
    activity = Activity(ManualClock())
    assert activity.opened("other") == {}
    assert activity.last("other") == {}


def test_a_run_that_ended_is_forgotten() -> None:
    clock = ManualClock()
    activity = Activity(clock)
    activity.note("run", "kernel")
    assert activity.last("run") == {"kernel": clock.now()}
    clock.advance(1 / SECOND)
    activity.forget("run")
    assert activity.last("run") == {}
