"""Graphs are drawn in layers, whatever their shape."""

from __future__ import annotations

import itertools

from dais.web.graph import HEIGHT, WIDTH, draw


def test_each_part_lies_below_all_that_lead_to_it() -> None:
    edges = [("a", "b"), ("b", "d"), ("a", "d"), ("c", "d"), ("d", "e")]
    drawing = draw("abcde", edges)
    row = {part.id: part.y for part in drawing.parts}
    assert all(row[source] < row[target] for source, target in edges)
    assert len(drawing.curves) == len(edges)


def test_no_two_parts_overlap_and_all_lie_inside() -> None:
    ids = [str(number) for number in range(40)]
    drawing = draw(ids, [(str(number // 3), str(number)) for number in range(1, 40)])
    places = sorted((part.y, part.x) for part in drawing.parts)
    for (y, x), (below, right) in itertools.pairwise(places):
        assert below - y >= HEIGHT or right - x >= WIDTH
    assert all(0 <= part.x <= drawing.width - WIDTH for part in drawing.parts)
    assert all(0 <= part.y <= drawing.height - HEIGHT for part in drawing.parts)


def test_circles_edges_to_nowhere_and_nothing_at_all() -> None:
    drawing = draw("abc", [("a", "b"), ("b", "a"), ("b", "b"), ("b", "x"), ("a", "b")])
    assert {part.id for part in drawing.parts} == {"a", "b", "c"}
    assert len(drawing.curves) == 2
    assert draw([], []).parts == []
