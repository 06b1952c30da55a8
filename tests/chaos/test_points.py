"""The named points are there: who renames a function moves its point."""

from __future__ import annotations

import inspect

import pytest

from tests.chaos.inject import resolve
from tests.chaos.points import POINTS, Point


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_point_is_a_function_that_can_be_wrapped(point: Point) -> None:
    _, _, function = resolve(point.target)
    assert inspect.isroutine(function)
    assert not inspect.isasyncgenfunction(function)
    assert not inspect.isgeneratorfunction(function)


def test_there_are_at_least_thirty_in_every_part() -> None:
    assert len({point.name for point in POINTS}) == len(POINTS) >= 30
    assert {point.area for point in POINTS} == {"jobs", "transfers", "lake", "upgrades"}
    assert {point.process for point in POINTS} == {"server", "supervisor", "collector"}
