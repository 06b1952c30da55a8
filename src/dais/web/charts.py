"""Small line charts, drawn by the server as SVG."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

WIDTH, HEIGHT = 480, 160
LEFT, RIGHT, TOP, BOTTOM = 64, 8, 8, 24


class Tick(msgspec.Struct, frozen=True):
    """A mark on an axis: where, and what is written there."""

    at: float
    text: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """The line's points for an SVG polyline, one point alone, and the marks of both axes."""

    line: str
    dot: tuple[float, float] | None
    rows: list[Tick]
    columns: list[Tick]


def chart(steps: Sequence[int], values: Sequence[float]) -> Chart:
    """Values over steps, which rise; both have the same length, of at least one."""
    low, high = _range(min(values), max(values))
    first, last = steps[0], max(steps[-1], steps[0] + 1)
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(step: int) -> float:
        return round(LEFT + wide * ((step - first) / (last - first)), 1)

    def y(value: float) -> float:
        # Halved, for the difference of two numbers may be beyond what a number can be.
        return round(TOP + tall * (1 - (value / 2 - low / 2) / (high / 2 - low / 2)), 1)

    points = [(x(step), y(value)) for step, value in zip(steps, values, strict=True)]
    middle = low / 2 + high / 2
    columns = {first: Tick(x(first), f"{first:,}"), steps[-1]: Tick(x(steps[-1]), f"{steps[-1]:,}")}
    return Chart(
        line=" ".join(f"{left},{top}" for left, top in points),
        dot=points[-1],
        rows=[Tick(y(value), f"{value:.4g}") for value in (low, middle, high)],
        columns=list(columns.values()),
    )


def _range(low: float, high: float) -> tuple[float, float]:
    """What the axis shows: never nothing."""
    if low == high:
        around = abs(low) / 10 or 1.0
        return max(low - around, -sys.float_info.max), min(high + around, sys.float_info.max)
    return low, high
