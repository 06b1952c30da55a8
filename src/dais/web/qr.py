"""QR codes, drawn without asking anybody else."""

from __future__ import annotations

from typing import NamedTuple

QUIET = 4
"""Modules of white around a code, which readers need."""


class Drawing(NamedTuple):
    """A code as one path in a square of `size` modules."""

    size: int
    path: str


def qr_code(text: str) -> Drawing:
    """A code that a camera reads as `text`; dark modules are runs of the path."""
    import segno

    matrix = segno.make(text, error="m", micro=False).matrix
    runs = []
    for y, row in enumerate(matrix, QUIET):
        x = 0
        while x < len(row):
            length = 0
            while x + length < len(row) and row[x + length]:
                length += 1
            if length:
                runs.append(f"M{x + QUIET} {y}h{length}v1h-{length}z")
            x += length or 1
    return Drawing(len(matrix) + 2 * QUIET, "".join(runs))
