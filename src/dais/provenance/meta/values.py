"""Keys, tags and values: what is accepted, and how it is stored."""

from __future__ import annotations

import math
import unicodedata
from typing import Any, NamedTuple

from dais.kit.clock import SECOND, from_rfc3339, to_rfc3339
from dais.kit.errors import Invalid
from dais.wire.meta import MAX_KEY, MAX_NUMBER, MAX_TEXT, Moment, Value
from dais.wire.paths import shown

NUMBER, INSTANT, TEXT, TRUTH = 1, 2, 3, 4
RANKS = (NUMBER, INSTANT, TEXT, TRUTH)
"""The types of values, in the order in which they are sorted."""


class Stored(NamedTuple):
    """A value as its row has it."""

    type: int
    number: float
    text: str


def check_key(key: str) -> str:
    """A key that people may set, in Unicode's form NFC. Raises Invalid `bad-key`."""
    known = check_word(key, "key")
    if known in ("_id", "tags") or (known.startswith("__") and known.endswith("__")):
        raise Invalid(
            f"{shown(key)} cannot be written: {'tags are set as such' if known == 'tags' else 'it tells what is so'}; "
            "choose another key",
            code="system-key",
            key=key[:200],
        )
    return known


def check_word(word: str, what: str) -> str:
    """A key or tag in Unicode's form NFC. Raises Invalid `bad-key`, `bad-tag`."""
    try:
        known = unicodedata.normalize("NFC", word)
        size = len(known.encode())
    except UnicodeEncodeError:
        known, size = word, 0
    if not 1 <= size <= MAX_KEY or known != known.strip() or not known.isprintable():
        raise Invalid(
            f"{shown(word)} is no {what}: it has 1 to {MAX_KEY} bytes of printable characters, and no space at its "
            "beginning or end",
            code=f"bad-{what}",
            **{what: word[:200]},
        )
    return known


def stored(value: Value, key: str = "") -> Stored:
    """A value as it is stored. Raises Invalid `bad-value`."""
    if isinstance(value, bool):
        return Stored(TRUTH, float(value), "")
    if isinstance(value, int | float):
        if not math.isfinite(value) or (isinstance(value, int) and abs(value) > MAX_NUMBER):
            raise _bad(key, value, f"numbers are finite, and whole ones up to {MAX_NUMBER:,}; send it as a text")
        return Stored(NUMBER, float(value) + 0.0, "")
    if isinstance(value, Moment):
        return Stored(INSTANT, float(instant(value.instant, key)), "")
    try:
        text = unicodedata.normalize("NFC", value)
        size = len(text.encode())
    except UnicodeEncodeError:
        raise _bad(key, value, "it is no UTF-8 text") from None
    if size > MAX_TEXT or "\0" in text:
        raise _bad(key, value, f"a text has up to {MAX_TEXT:,} bytes and no NUL; longer ones are for files")
    return Stored(TEXT, 0.0, text)


def instant(text: str, key: str = "") -> int:
    """RFC 3339 as µs. Raises Invalid `bad-value`."""
    try:
        moment = from_rfc3339(text)
        to_rfc3339(moment)
    except (ValueError, OverflowError):
        raise _bad(key, text, "an instant is written as 2026-01-31T12:00:00Z") from None
    return moment


def shown_value(kind: int, number: float, text: str) -> Any:
    """A stored value as others see it."""
    if kind == TEXT:
        return text
    if kind == TRUTH:
        return bool(number)
    if kind == INSTANT:
        return Moment(to_rfc3339(int(number)))
    return int(number) if number.is_integer() and abs(number) <= MAX_NUMBER else number


def as_instant(value: Value, key: str) -> int:
    """What a fact that is an instant is compared with: RFC 3339, or seconds since the epoch."""
    if isinstance(value, Moment):
        return instant(value.instant, key)
    if isinstance(value, str):
        return instant(value, key)
    seconds = stored(value, key).number
    if isinstance(value, bool) or abs(seconds) > 1e12:
        raise _bad(key, value, "an instant is written as 2026-01-31T12:00:00Z, or in seconds since the epoch")
    return int(seconds * SECOND)


def _bad(key: str, value: object, why: str) -> Invalid:
    said = shown(value) if isinstance(value, str) else repr(value)[:80]
    return Invalid(f"{shown(key)}: {said} is no value; {why}", code="bad-value", key=key[:200])
