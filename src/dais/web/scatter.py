"""Time and cost of allocations as points, drawn by the server as SVG."""

from __future__ import annotations

import msgspec

from dais.web.charts import Tick
from dais.web.view import duration
from dais.wire.templates import Allocation, Prediction
from dais.wire.units import short_size

WIDTH, HEIGHT = 480, 260
LEFT, RIGHT, TOP, BOTTOM = 80, 12, 16, 32
BOX = (WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM)


class Dot(msgspec.Struct, frozen=True):
    """An allocation's place, the ends of its interval of time, its kind (chosen, frontier, other), and its words."""

    x: float
    y: float
    low: float
    high: float
    kind: str
    words: str


class Scatter(msgspec.Struct, frozen=True):
    """The points, the line through those of the frontier, and the marks of both axes."""

    dots: list[Dot]
    frontier: str
    rows: list[Tick]
    columns: list[Tick]


def scatter(said: Prediction) -> Scatter:
    """Time to the right, cost upward; what cannot be had is left out. The first dot is drawn first, the chosen last."""
    possible = [one for one in said.allocations if one.obstacle is None]
    longest = max(one.seconds for one in possible)
    most_time = max(longest, min(said.chosen.high, 2 * longest)) * 1.1 or 1.0
    most_cost = max(one.cost for one in possible) * 1.1 or 1.0

    def x(seconds: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, seconds / most_time), 1)

    def y(cost: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - cost / most_cost), 1)

    def rank(one: Allocation) -> int:
        return 2 if one == said.chosen else int(one.frontier)

    kinds = ("other", "frontier", "chosen")
    dots = [
        Dot(x(one.seconds), y(one.cost), x(one.low), x(one.high), kinds[rank(one)], _words(one, said.currency))
        for one in sorted(possible, key=rank)
    ]
    best = sorted((one for one in possible if one.frontier), key=lambda one: one.seconds)
    return Scatter(
        dots,
        " ".join(f"{x(one.seconds)},{y(one.cost)}" for one in best),
        [Tick(y(share * most_cost), f"{said.currency}{share * most_cost:.2g}") for share in (0.0, 0.5, 1.0)],
        [Tick(x(share * most_time), duration(share * most_time) if share else "0") for share in (0.0, 0.5, 1.0)],
    )


def _words(one: Allocation, currency: str) -> str:
    return f"{one.cpu:g} cores, {short_size(one.mem)}: {duration(one.seconds)}, {currency}{one.cost:.3g}"
