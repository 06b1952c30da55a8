"""Statements: `<action>[+<action>…]@<urn>[+<urn>…]`, with `*` for any run of characters in both. Pure.

`job:get+job:logs@491e…:account:a5b8…:job:*` lets its holder see the jobs of an account and of the accounts below it.
"""

from __future__ import annotations

import difflib
import functools
import re

import msgspec

from dais.identity.actions import ACTIONS
from dais.identity.urns import INSTALLATION
from dais.kit.errors import Invalid
from dais.kit.ids import is_id

MAX_STATEMENT = 4096
"""Characters of a statement."""
MAX_PARTS = 64
"""Actions, and URNs, of a statement."""
MAX_STARS = 8
"""Runs of `*` in one URN: databases try every way to match them."""

_action_shape = re.compile(r"[a-z*]+(:[a-z*]+)?")
_urn_shape = re.compile(r"(?:[^\s+@:%]|%[0-9A-F]{2})+(?::(?:[^\s+@:%]|%[0-9A-F]{2})*)*")


class Statement(msgspec.Struct, frozen=True):
    """What is allowed on what: patterns of actions, and of URNs."""

    actions: tuple[str, ...]
    urns: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'+'.join(self.actions)}@{'+'.join(self.urns)}"


@functools.lru_cache(maxsize=8192)
def parse(text: str) -> Statement:
    """The statement of a text. Raises Invalid `bad-statement` (says where) or `unknown-action` (the nearest names)."""
    if len(text) > MAX_STATEMENT:
        raise Invalid(
            f"the statement has {len(text):,} characters; at most {MAX_STATEMENT:,} are possible: make several",
            code="bad-statement",
        )
    left, at, right = text.partition("@")
    if not at:
        raise _bad(text, len(text), "an @ between the actions and the URNs is missing")
    if "@" in right:
        raise _bad(text, len(left) + 1 + right.index("@"), "a second @; inside a name write %40")
    actions = _split(text, left, 0, "action")
    urns = _split(text, right, len(left) + 1, "URN")
    for start, action in actions:
        _check_action(text, start, action)
    for start, pattern in urns:
        _check_urn(text, start, pattern)
    return Statement(
        tuple(dict.fromkeys(action for _, action in actions)), tuple(dict.fromkeys(urn for _, urn in urns))
    )


@functools.lru_cache(maxsize=4096)
def actions_of(pattern: str) -> frozenset[str]:
    """The actions that a pattern means."""
    if "*" not in pattern:
        return frozenset({pattern}) & ACTIONS
    regex = compiled(pattern)
    return frozenset(action for action in ACTIONS if regex.fullmatch(action))


@functools.lru_cache(maxsize=8192)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern in which `*` is any run of characters, as a regular expression to `fullmatch` with.

    Each piece between two `*` is looked for once, from the left, and never again (atomic groups): no pattern makes
    matching slow.
    """
    first, *rest = map(re.escape, pattern.split("*"))
    if not rest:
        return re.compile(first)
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1] if piece)
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL)


def within(inner: str, outer: str) -> bool:
    """Whether everything that matches the pattern `inner` matches `outer`, too.

    A `*` of `inner` stands for any text, so that only a `*` of `outer` can take it; it is never wrong to say yes.
    """
    return compiled(outer).fullmatch(inner) is not None


def _split(text: str, part: str, start: int, what: str) -> list[tuple[int, str]]:
    found = []
    position = start
    for piece in part.split("+"):
        if not piece:
            raise _bad(text, position, f"an {what} is missing" if what == "action" else f"a {what} is missing")
        found.append((position, piece))
        position += len(piece) + 1
    if len(found) > MAX_PARTS:
        raise _bad(text, found[MAX_PARTS][0], f"a statement has at most {MAX_PARTS} {what}s: make several")
    return found


def _check_action(text: str, start: int, action: str) -> None:
    if not _action_shape.fullmatch(action):
        wrong = _first_wrong(_action_shape, action)
        raise _bad(text, start + wrong, "an action is `type:verb` in small letters, or a pattern with *")
    if actions_of(action):
        return
    near = difflib.get_close_matches(action, sorted(ACTIONS), 3, 0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else "; `dais rule actions` lists them all"
    raise Invalid(
        f"there is no action {action!r}{hint}", code="unknown-action", action=action, near=near, position=start
    )


def _check_urn(text: str, start: int, pattern: str) -> None:
    if not _urn_shape.fullmatch(pattern):
        wrong = _first_wrong(_urn_shape, pattern)
        raise _bad(
            text,
            start + wrong,
            "a URN is `organization:type:id`, `organization:account:id:type:id`, or a pattern with *; blanks and % "
            "inside a name are percent-encoded",
        )
    if len(re.findall(r"\*+", pattern)) > MAX_STARS:
        raise _bad(text, start, f"a URN has at most {MAX_STARS} stars")
    first = pattern.partition(":")[0]
    if "*" not in first and first != INSTALLATION and not is_id(first):
        raise _bad(
            text,
            start,
            f"{first[:40]!r} is no organization's id; `dais organization get --field id` prints yours, and * means it",
        )


def _first_wrong(shape: re.Pattern[str], piece: str) -> int:
    """Where a piece stops having the shape: the length of its longest good beginning."""
    for end in range(len(piece), 0, -1):
        if shape.fullmatch(piece[:end]):
            return end
    return 0


def _bad(text: str, position: int, why: str) -> Invalid:
    shown = text if len(text) <= 100 else f"{text[:100]}…"
    mark = f"\n  {shown}\n  {' ' * min(position, 100)}^"
    return Invalid(
        f"this is no statement, at character {position + 1}: {why}{mark}", code="bad-statement", position=position
    )
