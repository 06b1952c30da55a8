"""Conditions as they are asked, checked and made ready for the database."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from dais.identity import user_ids
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.kit.ids import is_id
from dais.provenance.meta.conditions import Group, OnFact, OnTag, OnValue, Test
from dais.provenance.meta.patterns import texts_like
from dais.provenance.meta.types import Kind
from dais.provenance.meta.values import NUMBER, TEXT, TRUTH, Stored, as_instant, check_word, stored
from dais.wire.meta import MAX_CONDITIONS, Condition, Value
from dais.wire.paths import shown

MAX_DEPTH = 4


class Extreme(NamedTuple):
    """Only those of the largest (`down`) or smallest value of a key are wanted."""

    key: str
    down: bool


class Asked(NamedTuple):
    """All of `tests` hold; then one `extreme` after the other."""

    tests: list[Test]
    extremes: list[Extreme]


def asked(uow: UnitOfWork, kind: Kind, account_id: str, conditions: Sequence[Condition]) -> Asked:
    """Conditions that are combined by AND.

    Raises Invalid `bad-condition`, `unknown-key`, `bad-value`, `bad-pattern`, `too-many-texts`.
    """
    if (count := sum(_size(one) for one in conditions)) > MAX_CONDITIONS:
        raise Invalid(f"a query has up to {MAX_CONDITIONS} conditions, not {count:,}", code="bad-condition")
    reader = _Reader(uow, kind, account_id)
    extremes = [Extreme(reader.key(one.key), one.op == "max") for one in conditions if one.op in ("max", "min")]
    return Asked([reader.test(one) for one in conditions if one.op not in ("max", "min")], extremes)


def check_sort_key(kind: Kind, key: str) -> str:
    """A key that can be sorted by. Raises Invalid."""
    return _known(kind, key)


def _size(condition: Condition, depth: int = 1) -> int:
    if depth > MAX_DEPTH:
        raise Invalid(f"conditions lie up to {MAX_DEPTH} deep in each other", code="bad-condition")
    return 1 + sum(_size(part, depth + 1) for part in (*condition.any, *condition.all))


def _known(kind: Kind, key: str) -> str:
    if key in kind.facts:
        return key
    if key == "_id" or (key.startswith("__") and key.endswith("__")):
        known = ["__type__", *kind.facts]
        near = difflib.get_close_matches(key, known, 1)
        raise Invalid(
            f"a {kind.name} has no {shown(key)}; "
            + (f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"),
            code="unknown-key",
            key=key[:200],
        )
    return check_word(key, "key")


class _Reader:
    """What conditions are read with."""

    def __init__(self, uow: UnitOfWork, kind: Kind, account_id: str) -> None:
        self._uow, self._kind, self._account_id = uow, kind, account_id

    def key(self, key: str) -> str:
        return _known(self._kind, key)

    def test(self, one: Condition) -> Test:
        if one.any or one.all:
            if one.key or (one.any and one.all):
                raise Invalid("a condition has a key, or `any`, or `all`; make several of it", code="bad-condition")
            return Group("any" if one.any else "all", tuple(self.test(part) for part in one.any or one.all))
        if one.op in ("max", "min"):
            raise Invalid(f"{one.op} lies in no group; ask for it beside the others", code="bad-condition")
        if one.op == "tag" or one.key == "tags":
            return self._tag(one)
        if one.key == "__type__":
            same = one.op == "exists" or (one.op == "=" and one.value == self._kind.name)
            return Group("all" if same else "any", ())
        key = self.key(one.key)
        if one.op == "~":
            texts = texts_like(self._uow, self._kind, self._account_id, key, self._text(one))
            on_fact = key in self._kind.facts
            return OnFact(key, "in", texts=texts) if on_fact else OnValue(key, "in", TEXT, texts=texts)
        if key in self._kind.facts:
            return self._fact(key, one)
        return self._value(key, one)

    def _tag(self, one: Condition) -> Test:
        if one.op == "~":
            return OnTag("", "in", texts_like(self._uow, self._kind, self._account_id, "tags", self._text(one)))
        if one.op not in ("=", "tag", "!="):
            raise Invalid(f"tags are there or not: ask for them with =, != or ~, not {one.op}", code="bad-condition")
        tag = check_word(self._text(one), "tag")
        return OnTag(tag, "absent" if one.op == "!=" else "=")

    def _value(self, key: str, one: Condition) -> Test:
        if one.op in ("exists", "absent"):
            return OnValue(key, one.op)
        if one.op == "range":
            start, end = (None if bound is None else stored(bound, key) for bound in (one.start, one.end))
            known = start or end
            if known is None or known.type == TRUTH or (start and end and start.type != end.type):
                raise _bad(key, "a range has a start, an end or both, of one type")
            if start is None or end is None:
                return OnValue(key, "<=" if start is None else ">", known.type, _plain(known))
            return OnValue(key, "range", known.type, _plain(start), _plain(end))
        value = stored(self._given(one), key)
        if value.type == TRUTH and one.op not in ("=", "!="):
            raise _bad(key, f"true and false are compared with = and !=, not {one.op}")
        return OnValue(key, one.op, value.type, _plain(value))

    def _fact(self, key: str, one: Condition) -> Test:
        if one.op in ("exists", "absent"):
            return OnFact(key, one.op)
        if one.op == "range":
            start, end = (None if bound is None else self._comparable(key, bound) for bound in (one.start, one.end))
            if start is None and end is None:
                raise _bad(key, "a range has a start, an end or both")
            if start is None or end is None:
                return OnFact(key, "<=" if start is None else ">", end if start is None else start)
            return OnFact(key, "range", start, end)
        value = self._comparable(key, self._given(one))
        if key == "__creator_id__" and one.op == "=" and not is_id(str(value)):
            return OnFact(key, "in", texts=tuple(user_ids(self._uow, str(value))))
        return OnFact(key, one.op, value)

    def _comparable(self, key: str, value: Value) -> str | float:
        """A value of the fact's type."""
        type_ = self._kind.facts[key]
        if type_ == "instant":
            return as_instant(value, key)
        known = stored(value, key)
        if type_ == "text":
            text = value if isinstance(value, str) else str(value)
            return text.upper() if (self._kind.name, key) == ("job", "__state__") else text
        if known.type != NUMBER:
            raise _bad(key, f"it is a number, and {shown(str(value))} is none")
        return known.number

    @staticmethod
    def _given(one: Condition) -> Value:
        if one.value is None:
            raise _bad(one.key, f"{one.op} needs a value")
        return one.value

    @staticmethod
    def _text(one: Condition) -> str:
        if not isinstance(one.value, str):
            raise _bad(one.key or "tags", f"{one.op} needs a text")
        return one.value


def _plain(value: Stored) -> str | float:
    """What the column of its type is compared with."""
    return value.text if value.type == TEXT else value.number


def _bad(key: str, why: str) -> Invalid:
    return Invalid(f"the condition on {shown(key)} cannot be met: {why}", code="bad-condition", key=key[:200])
