"""Where the parts of a graph are drawn: in layers, each part below all that lead to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

WIDTH, HEIGHT = 216, 48
"""A part's size, in pixels."""
BESIDE, BELOW, AROUND = 16, 40, 8
"""The space between parts of a layer, between layers, and around all."""


class Placed(msgspec.Struct, frozen=True):
    """A part's left upper corner."""

    id: str
    x: int
    y: int


class Curve(msgspec.Struct, frozen=True):
    """An edge, as the path of an SVG."""

    source: str
    target: str
    path: str


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Parts from the top to the bottom, edges, and the size of all."""

    parts: list[Placed]
    curves: list[Curve]
    width: int
    height: int


def draw(ids: Sequence[str], edges: Iterable[tuple[str, str]]) -> Drawing:
    """Place the parts; an edge leads from its first to its second. What goes in a circle is drawn all the same."""
    below: dict[str, list[str]] = defaultdict(list)
    above: dict[str, list[str]] = defaultdict(list)
    known = set(ids)
    for source, target in dict.fromkeys(edges):
        if source in known and target in known and source != target:
            below[source].append(target)
            above[target].append(source)
    layers = _ordered(_layers(ids, below, above), above)
    width = max((len(layer) for layer in layers), default=0) * (WIDTH + BESIDE) - BESIDE
    placed: dict[str, Placed] = {}
    for row, layer in enumerate(layers):
        left = AROUND + (width - len(layer) * (WIDTH + BESIDE) + BESIDE) // 2
        for column, one in enumerate(layer):
            placed[one] = Placed(one, left + column * (WIDTH + BESIDE), AROUND + row * (HEIGHT + BELOW))
    curves = [_curve(placed[source], placed[target]) for source in placed for target in below[source]]
    return Drawing(
        parts=list(placed.values()),
        curves=curves,
        width=max(0, width) + 2 * AROUND,
        height=max(0, len(layers) * (HEIGHT + BELOW) - BELOW) + 2 * AROUND,
    )


def _layers(ids: Sequence[str], below: dict[str, list[str]], above: dict[str, list[str]]) -> list[list[str]]:
    """Each part one layer below the lowest that leads to it."""
    waiting = {one: len(above[one]) for one in ids}
    depth = dict.fromkeys(ids, 0)
    ready = [one for one in ids if not waiting[one]]
    left = dict.fromkeys(ids)
    while left:
        if not ready:  # a circle: it is opened at the first that is left
            ready = [next(iter(left))]
        one = ready.pop()
        if one not in left:
            continue
        del left[one]
        for other in below[one]:
            if other in left:
                depth[other] = max(depth[other], depth[one] + 1)
                waiting[other] -= 1
                if waiting[other] == 0:
                    ready.append(other)
    for one in ids:  # what nothing leads to stands right above what it leads to
        if not above[one] and below[one]:
            depth[one] = max(0, min(depth[other] for other in below[one]) - 1)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for one in ids:
        layers[depth[one]].append(one)
    return [layer for layer in layers if layer]


def _ordered(layers: list[list[str]], above: dict[str, list[str]]) -> list[list[str]]:
    """Each layer in the order of what leads to its parts, so that few edges cross."""
    place: dict[str, float] = {}
    ordered = []
    for layer in layers:
        before = {one: position for position, one in enumerate(layer)}

        def middle(one: str, before: dict[str, int] = before) -> float:
            known = [place[other] for other in above[one] if other in place]
            return sum(known) / len(known) if known else before[one] / max(1, len(before))

        row = sorted(layer, key=middle)
        place.update({one: (position + 0.5) / len(row) for position, one in enumerate(row)})
        ordered.append(row)
    return ordered


def _curve(source: Placed, target: Placed) -> Curve:
    x1, y1 = source.x + WIDTH // 2, source.y + HEIGHT
    x2, y2 = target.x + WIDTH // 2, target.y
    bend = max(BELOW, abs(y2 - y1)) // 2
    return Curve(source.id, target.id, f"M{x1} {y1}C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2 - 4}")
