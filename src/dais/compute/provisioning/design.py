"""Which profiling runs are made: the whole product, or a balanced part of it. Pure, and the same each time."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Sequence

CANDIDATES = 100
"""Points that each place of a part is chosen from."""

Point = tuple[int, ...]
"""A level of each factor, by its place."""


def choose_points(sizes: Sequence[int], most: int) -> list[Point]:
    """At most `most` different points of the product of factors with so many levels.

    A part begins with both ends of every factor, and then takes what has been tried least, alone and in pairs.
    """
    if math.prod(sizes) <= most:
        return list(itertools.product(*(range(size) for size in sizes)))
    chance = random.Random(0)
    taken: list[Point] = [tuple(0 for _ in sizes), tuple(size - 1 for size in sizes)][:most]
    counts: Counter[tuple[object, ...]] = Counter()
    for point in taken:
        counts.update(_parts(point))
    while len(taken) < most:
        seen = set(taken)
        drawn = {tuple(chance.randrange(size) for size in sizes) for _ in range(CANDIDATES)} - seen
        if not drawn:
            drawn = set(itertools.product(*(range(size) for size in sizes))) - seen
        best = min(sorted(drawn), key=lambda point: sum(counts[part] ** 2 for part in _parts(point)))
        taken.append(best)
        counts.update(_parts(best))
    return taken


def _parts(point: Point) -> list[tuple[object, ...]]:
    singles = list(enumerate(point))
    return [(one,) for one in singles for _ in range(len(point))] + list(itertools.combinations(singles, 2))
