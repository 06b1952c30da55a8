"""Statements: `<action>[+<action>…]@<urn>[+<urn>…]`, with `*` for any run of characters in both. Pure.

`job:get+job:logs@491e…:account:a5b8…:job:*` lets its holder see the jobs of an account and of the accounts below it.
"""

from __future__ import annotations

import difflib
import functools
import re

import msgspec

from dais.identity.actions import ACTIONS
from dais.identity.urns import INSTALLATION, canonical
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


class Statement(msgspec.Struct, frozen=True, gc=False):
    """What is allowed on what: patterns of actions, and of URNs."""

    actions: tuple[str, ...]
    urns: tuple[str, ...]

    def __str__(self) -> str:
        return f"{'+'.join(self.actions)}@{'+'.join(self.urns)}"


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
    checked = (_checked_urn(text, start, pattern) for start, pattern in urns)
    return Statement(tuple(dict.fromkeys(action for _, action in actions)), tuple(dict.fromkeys(checked)))


def stored(text: str) -> Statement:
    """The statement of a text that `parse` has let in before: what a database holds is not checked again."""
    actions, _, urns = text.partition("@")
    return Statement(tuple(actions.split("+")), tuple(urns.split("+")))


@functools.lru_cache(maxsize=1024)
def actions_of(pattern: str) -> frozenset[str]:
    """The actions that a pattern means."""
    if "*" not in pattern:
        return frozenset({pattern}) & ACTIONS
    return frozenset(action for action in ACTIONS if matches(pattern, action))


def matches(pattern: str, text: str) -> bool:
    """Whether a text matches a pattern in which `*` is any run of characters.

    Each piece between two `*` is looked for once, from the left, and never again: no pattern makes this slow.
    """
    if "*" not in pattern:
        return pattern == text
    first, *middle, last = pattern.split("*")
    if not text.startswith(first):
        return False
    at = len(first)
    for piece in middle:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return len(text) - len(last) >= at and text.endswith(last)


def within(inner: str, outer: str) -> bool:
    """Whether everything that matches the pattern `inner` matches `outer`, too.

    A `*` of `inner` stands for any text, so that only a `*` of `outer` can take it; it is never wrong to say yes.
    """
    return matches(outer, inner)


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
    action = action[:80]
    near = difflib.get_close_matches(action, sorted(ACTIONS), 3, 0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else "; `dais rule actions` lists them all"
    raise Invalid(
        f"there is no action {action!r}{hint}", code="unknown-action", action=action, near=near, position=start
    )


def _checked_urn(text: str, start: int, pattern: str) -> str:
    """The pattern as it is written down."""
    if not (pattern.isprintable() and _urn_shape.fullmatch(pattern)):
        wrong = _first_wrong(_urn_shape, pattern)
        wrong = next((at for at, one in enumerate(pattern[:wrong]) if not one.isprintable()), wrong)
        raise _bad(
            text,
            start + wrong,
            "a URN is `organization:type:id`, `organization:account:id:type:id`, or a pattern with *; blanks, %, "
            "and what cannot be printed, are percent-encoded",
        )
    try:
        pattern = canonical(pattern)
    except ValueError:
        raise _bad(text, start, "what is percent-encoded must be UTF-8") from None
    if len(re.findall(r"\*+", pattern)) > MAX_STARS:
        raise _bad(text, start, f"a URN has at most {MAX_STARS} stars")
    first = pattern.partition(":")[0]
    if "*" not in first and first != INSTALLATION and not is_id(first):
        raise _bad(
            text,
            start,
            f"{first[:40]!r} is no organization's id; `dais organization get --field id` prints yours, and * means it",
        )
    return pattern


def _first_wrong(shape: re.Pattern[str], piece: str) -> int:
    """Where a piece stops having the shape."""
    found = shape.match(piece)
    return found.end() if found else 0


def _bad(text: str, position: int, why: str) -> Invalid:
    shown = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text[:100])
    shown = shown if len(text) <= 100 else f"{shown}…"
    mark = f"\n  {shown}\n  {' ' * min(position, 100)}^"
    return Invalid(
        f"this is no statement, at character {position + 1}: {why}{mark}", code="bad-statement", position=position
    )
