"""What is wrong with a specification, as data: where, what was given, what was expected, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SpecError(ValueError):
    """A specification that cannot be accepted.

    `path` is where in the document (`resources.mem`, `data[1]`), "" for the whole; `given` is the value as text,
    shortened; `expected` says what would do; `hint`, where there is one, what to do. `code` is for programs.
    """

    def __init__(
        self,
        path: str,
        problem: str,
        *,
        given: object = None,
        expected: str | None = None,
        hint: str | None = None,
        code: str = "bad-spec",
    ) -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem
        self.given = None if given is None else shown(given)
        self.expected = expected
        self.hint = hint
        self.code = code


def shown(value: object, limit: int = 80) -> str:
    """A value for a message: quoted, one line, shortened."""
    text = repr(str(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is most probably a slip of; None when none is near."""
    folded = {_folded(one): one for one in known}
    close = difflib.get_close_matches(_folded(name), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def _folded(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
