"""Conditions as people write them: `model=cnn max(accuracy) size>10MiB (step<3 or #best)`.

    condition   KEY OP VALUE | KEY in START..END | max(KEY) | min(KEY) | has(KEY) | no(KEY) | #TAG
    OP          = != < <= > >= ~
    combined    by blanks, commas or `and`; by `or`; grouped by ( )

A KEY that the kind has of itself is written short (`size` for `__size__`); in quotes it is the user's own. A VALUE is a
number (`0.9`, `10MiB`), `true` or `false`, a date or instant (`2026-01-31`, `2026-01-31T12:00:00Z`), or a text, in
quotes where it would be something else or has blanks. A range leaves out its start and has its end. A regular
expression, after ~, goes on to a blank, a comma or a `)` that stand outside of its own brackets; `==` is `=`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from dais.wire.meta import Condition, Moment, Operator, Value

MAX_QUERY = 10_000
"""Characters of a query."""

_COMMON = {"id": "_id", "path": "__full_path__", "name": "__full_path__", "creator": "__creator_id__"}
_COMMON |= {"created": "__create_time__", "type": "__type__"}
_VERSIONED = {**_COMMON, "version": "__version__", "size": "__size__", "digest": "__digest__"}
_JOB = ("number", "state", "reason", "group", "image", "cpu", "mem", "gpu", "duration", "exit_code", "started", "ended")
_IMAGE = ("group", "reference", "digest", "architecture", "state", "size")
_USER = {name: _COMMON[name] for name in ("id", "path", "name", "created", "type")}
SHORT: dict[str, dict[str, str]] = {
    "file": _VERSIONED,
    "fileset": {**_VERSIONED, "files": "__files__", "made_by": "__made_by__"},
    "folder": _COMMON,
    "job": {**_COMMON, **{name: f"__{name}__" for name in _JOB}},
    "image": {**_COMMON, **{name: f"__{name}__" for name in _IMAGE}},
    "user": {**_USER, "number": "__number__", "state": "__state__"},
}
"""The short names of what entities of a kind have of themselves."""

_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_number = re.compile(rf"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)({'|'.join(_UNITS)})?")
_instant = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?")
_tokens = re.compile(
    r"""(?P<blank>\s+)|(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<op>!=|<=|>=|==|=|<|>|~)"""
    r"""|(?P<mark>[(),#])|(?P<word>[^\s"'()=<>!~,\#]+)""",
    re.DOTALL,
)
_pattern = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
"""The parts of a regular expression: what is escaped, a class of characters, or a character."""
_escape = re.compile(r"\\(.)", re.DOTALL)
_FUNCTIONS = {"max": "max", "min": "min", "has": "exists", "no": "absent"}


class QueryError(ValueError):
    """What is wrong with a query, and at which character of which text."""

    def __init__(self, why: str, text: str, at: int) -> None:
        self.why, self.text, self.at = why, text, at
        start = max(0, at - 40)
        super().__init__(f"{why}\n  {text[start : at + 40]}\n  {' ' * (at - start)}^".replace("\0", " "))


class _Token(NamedTuple):
    what: str
    text: str
    at: int


def parse_query(texts: Iterable[str], kind: str) -> tuple[Condition, ...]:
    """Conditions on entities of a kind that all hold; each text is whole by itself. Raises QueryError."""
    found: list[Condition] = []
    for text in texts:
        found += _Parser(text, kind).whole()
    return tuple(found)


def parse_key(text: str, kind: str) -> str:
    """A key as it is written in a query: `size` is `__size__`, `"size"` the user's own."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return _escape.sub(r"\1", text[1:-1]) if quoted else SHORT.get(kind, {}).get(text, text)


def parse_order(text: str, kind: str) -> str:
    """`accuracy`, or `-accuracy` downward, with the key in full."""
    return f"-{parse_key(text[1:], kind)}" if text.startswith("-") else parse_key(text, kind)


def parse_value(text: str) -> Value:
    """A value as it is written: `3`, `true`, `2026-01-31`, `"3"`, `cnn`."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return _escape.sub(r"\1", text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    if _instant.fullmatch(text):
        return Moment(f"{text}T00:00:00Z" if len(text) == len("2026-01-31") else text)
    number = _number.fullmatch(text)
    if number is None:
        return text
    factor = _UNITS[number[2]] if number[2] else 1
    if re.fullmatch(r"[+-]?\d{1,300}", number[1]):
        return int(number[1]) * factor
    value = float(number[1]) * factor
    return value if math.isfinite(value) else text


class _Parser:
    """One text, token by token."""

    def __init__(self, text: str, kind: str) -> None:
        if len(text) > MAX_QUERY:
            raise QueryError(f"a query has up to {MAX_QUERY:,} characters, not {len(text):,}", text, 0)
        self._text, self._kind = text, kind
        self._tokens: list[_Token] = []
        at = 0
        while at < len(text):
            if (end := self._pattern_end(at)) > at:
                self._tokens.append(_Token("word", text[at:end], at))
                at = end
                continue
            found = _tokens.match(text, at)
            if found is None:
                what = "a quotation mark is not closed" if text[at] in "\"'" else f"{text[at]!r} means nothing here"
                raise QueryError(what, text, at)
            if found.lastgroup != "blank":
                self._tokens.append(_Token(cast(str, found.lastgroup), found[0], at))
            at = found.end()
        self._tokens.append(_Token("end", "", len(text)))
        self._place = 0
        self._depth = 0

    def _pattern_end(self, at: int) -> int:
        """Where a regular expression that stands here, without quotes after ~, ends; `at` where there is none."""
        if (
            not self._tokens
            or self._tokens[-1][:2] != ("op", "~")
            or self._text[at] in "\"'"
            or self._text[at].isspace()
        ):
            return at
        open_brackets = 0
        for found in _pattern.finditer(self._text, at):
            mark = found[0]
            if mark in "({":
                open_brackets += 1
            elif open_brackets and mark in ")}":
                open_brackets -= 1
            elif not open_brackets and (mark in ")," or mark.isspace()):
                return found.start()
        return len(self._text)

    def whole(self) -> list[Condition]:
        if self._now.what == "end":
            return []
        found = self._either()
        if self._now.what != "end":
            raise self._wrong("this ) closes nothing" if self._now.text == ")" else "a condition was expected")
        return list(found.all) if found.all else [found]

    @property
    def _now(self) -> _Token:
        return self._tokens[self._place]

    def _next(self) -> _Token:
        token = self._now
        self._place += 1
        return token

    def _is(self, *words: str) -> bool:
        return self._now.what in ("word", "mark") and self._now.text in words

    def _either(self) -> Condition:
        parts = [self._all()]
        while self._is("or"):
            self._next()
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else Condition(any=tuple(parts))

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._now.what != "end" and not self._is("or", ")"):
            if self._is("and", ","):
                self._next()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Condition(all=tuple(parts))

    def _one(self) -> Condition:
        token = self._next()
        if token.text == "(" and token.what == "mark":
            self._depth += 1
            if self._depth > 20:
                raise QueryError("parentheses lie too deep in each other", self._text, token.at)
            found = self._either()
            self._close(token)
            self._depth -= 1
            return found
        if token.text == "#" and token.what == "mark":
            return Condition(op="tag", value=self._word("a tag"))
        if token.what not in ("word", "quoted"):
            raise QueryError(f"a condition was expected, as model=cnn; {_seen(token)}", self._text, token.at)
        if token.what == "word" and token.text in _FUNCTIONS and self._now.text == "(":
            opened = self._next()
            inside = self._next()
            if inside.what not in ("word", "quoted"):
                raise QueryError(f"{token.text}(…) needs a key; {_seen(inside)}", self._text, inside.at)
            self._close(opened)
            return Condition(key=parse_key(inside.text, self._kind), op=cast(Operator, _FUNCTIONS[token.text]))
        key = parse_key(token.text, self._kind)
        if self._is("in"):
            self._next()
            return self._range(key)
        if self._now.what != "op":
            raise self._wrong(
                f"after {token.text} one of = != < <= > >= ~ or `in` was expected; {_seen(self._now)}; "
                f"has({token.text}) asks whether it is there"
            )
        op = cast(Operator, self._next().text.replace("==", "="))
        if op == "~":
            return Condition(key=key, op=op, value=self._word("a regular expression"))
        value = self._next()
        if value.what not in ("word", "quoted"):
            raise QueryError(f"{token.text}{op} needs a value; {_seen(value)}", self._text, value.at)
        return Condition(key=key, op=op, value=parse_value(value.text))

    def _range(self, key: str) -> Condition:
        token = self._next()
        start, dots, end = token.text.partition("..")
        if token.what != "word" or not dots or not (start or end):
            raise QueryError(f"a range is written as 0.5..0.9; {_seen(token)}", self._text, token.at)
        bounds: list[Any] = [parse_value(bound) if bound else None for bound in (start, end)]
        return Condition(key=key, op="range", start=bounds[0], end=bounds[1])

    def _word(self, what: str) -> str:
        token = self._next()
        if token.what not in ("word", "quoted"):
            raise QueryError(f"{what} was expected; {_seen(token)}", self._text, token.at)
        return parse_key(token.text, "")

    def _close(self, opened: _Token) -> None:
        if not self._is(")"):
            raise QueryError("this ( is not closed", self._text, opened.at)
        self._next()

    def _wrong(self, why: str) -> QueryError:
        return QueryError(why, self._text, self._now.at)


def _seen(token: _Token) -> str:
    return "there is nothing more" if token.what == "end" else f"there is {token.text[:40]}"
