"""Charts of any values lie within their frame."""

from __future__ import annotations

import pytest

from dais.web.charts import HEIGHT, WIDTH, chart


@pytest.mark.parametrize(
    "values",
    [[1.0], [1.0, 1.0], [0.0, 0.0], [-1.7e308, 1.7e308], [1e-320, 2e-320], [1.7e308, 1.7e308], [3.0, 1.0, 2.0]],
)
def test_every_point_is_inside(values: list[float]) -> None:
    made = chart(list(range(len(values))), values)
    points = [tuple(map(float, point.split(","))) for point in made.line.split()]
    assert len(points) == len(values)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert len(made.rows) == 3


def test_larger_values_stand_higher() -> None:
    first, second = chart([5, 9], [1.0, 2.0]).line.split()
    assert float(first.split(",")[1]) > float(second.split(",")[1])
