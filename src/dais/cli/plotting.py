"""A scatter plot of characters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

WIDTH, HEIGHT = 56, 12


def plot(points: Sequence[tuple[float, float, str]], below: str, beside: str) -> Iterator[str]:
    """Points with their marks, of which later ones are drawn over earlier; `below` and `beside` name the axes."""
    if not points:
        return
    across, up = [point[0] for point in points], [point[1] for point in points]
    lows, highs = (min(across), min(up)), (max(across), max(up))
    rows = [[" "] * WIDTH for _ in range(HEIGHT)]
    for x, y, mark in sorted(points, key=lambda point: ".*@".find(point[2])):
        column = _place(x, lows[0], highs[0], WIDTH)
        rows[HEIGHT - 1 - _place(y, lows[1], highs[1], HEIGHT)][column] = mark
    yield beside
    for place, row in enumerate(rows):
        label = f"{highs[1]:.3g}" if place == 0 else f"{lows[1]:.3g}" if place == HEIGHT - 1 else ""
        yield f"{label:>9} |{''.join(row)}".rstrip()
    yield f"{'':>9} +{'-' * WIDTH}"
    left, right = f"{lows[0]:.3g}", f"{highs[0]:.3g} {below}"
    yield f"{'':>11}{left}{right:>{max(1, WIDTH - len(left))}}"


def _place(value: float, low: float, high: float, size: int) -> int:
    return 0 if high <= low else round((value - low) / (high - low) * (size - 1))
