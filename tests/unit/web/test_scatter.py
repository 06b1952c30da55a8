"""Time and cost of allocations as points."""

from __future__ import annotations

import msgspec

from dais.web.scatter import HEIGHT, LEFT, RIGHT, TOP, WIDTH, scatter
from dais.wire.templates import Allocation, Prediction


def allocation(cpu: float, seconds: float, cost: float, *, frontier: bool, obstacle: str | None = None) -> Allocation:
    return Allocation(
        cpu=cpu,
        mem=1 << 30,
        seconds=seconds,
        low=seconds / 2,
        high=seconds * 1000,
        cost=cost,
        cost_low=cost / 2,
        cost_high=cost * 1000,
        obstacle=obstacle,
        frontier=frontier,
    )


def prediction(*allocations: Allocation) -> Prediction:
    return Prediction(
        template="digits",
        number=1,
        parameters={},
        optimize="cost",
        chosen=allocations[0],
        allocations=list(allocations),
        currency="$",
        error=0.1,
        warnings=[],
    )


CHOSEN = allocation(1, 100, 1, frontier=True)


def test_the_chosen_is_drawn_last_and_what_cannot_be_had_not_at_all() -> None:
    others = allocation(2, 60, 2, frontier=True), allocation(3, 80, 3, frontier=False)
    drawn = scatter(prediction(CHOSEN, *others, allocation(4, 9000, 90, frontier=False, obstacle="no machine")))
    assert [dot.kind for dot in drawn.dots] == ["other", "frontier", "chosen"]
    chosen, frontier = drawn.dots[2], drawn.dots[1]
    assert drawn.frontier == f"{frontier.x},{frontier.y} {chosen.x},{chosen.y}"
    assert chosen.words == "1 cores, 1 GiB: 1 min 40 s, $1"


def test_an_endless_interval_ends_at_the_edge_and_leaves_room_for_the_points() -> None:
    chosen = scatter(prediction(CHOSEN)).dots[0]
    assert chosen.high == WIDTH - RIGHT
    assert chosen.x > LEFT + (WIDTH - LEFT - RIGHT) / 3


def test_what_costs_nothing_stands_on_the_ground() -> None:
    drawn = scatter(prediction(msgspec.structs.replace(CHOSEN, cost=0.0)))
    assert TOP < drawn.dots[0].y < HEIGHT
    assert drawn.rows[0].text == "$0"
    assert drawn.columns[0].text == "0"
