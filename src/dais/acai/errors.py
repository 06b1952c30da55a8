"""What these classes refuse by themselves; what the server refuses is a `dais.DaisError`."""

from __future__ import annotations


class AcaiError(Exception):
    """A call that cannot be made as it is."""
