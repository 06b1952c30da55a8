"""What is said of a name that means nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from dais.kit.database import Row
from dais.kit.errors import NotFound


def nearest(name: str, rows: Iterable[Row]) -> list[str]:
    """The names of the rows that are like this one, the most alike first."""
    return difflib.get_close_matches(name[:200], [row.name for row in rows], 2)


def no_such(what: str, name: str, near: list[str] | None = None) -> NotFound:
    """There is none, or none that the asker may see."""
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; `dais {what} ls` lists those that you may see"
    return NotFound(f"there is no {what} {name[:200]!r}{hint}", code=f"no-such-{what}", **{what: name[:200]})
