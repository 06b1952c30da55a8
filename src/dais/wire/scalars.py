"""Single values of a document: texts, numbers, yes-or-no, one of a few words."""

from __future__ import annotations

import re
from typing import Any

from dais.wire.problems import SpecError, nearest, shown

_kinds = {bool: "true or false", int: "a number", float: "a number", str: "a text", dict: "a mapping", list: "a list"}


class Written(str):
    """A plain scalar of a document: the text as written, and the `value` that it stands for.

    Where a text is wanted, `no` stays "no" and `1.10` stays "1.10"; where a number or a yes-or-no is wanted, the
    value is taken.
    """

    value: Any

    def __new__(cls, text: str, value: Any) -> Written:
        made = super().__new__(cls, text)
        made.value = value
        return made


def text_of(value: Any, path: str) -> str:
    """A text; numbers and yes-or-no are taken as they were written."""
    plain = resolved(value)
    if plain is None:
        raise SpecError(path, "it is empty", hint='write "" for an empty text')
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, int | float):
        return repr(plain)
    raise SpecError(path, f"it is {kind(value)}, not a text", given=value)


def integer(value: Any, path: str) -> int:
    plain = resolved(value)
    if isinstance(plain, str) and re.fullmatch(r"[+-]?\d{1,18}", plain, re.ASCII):
        return int(plain)
    if isinstance(plain, float) and plain.is_integer() and abs(plain) < 1e15:
        return int(plain)
    if not isinstance(plain, int) or isinstance(plain, bool):
        raise SpecError(path, f"{shown(value)} is not a whole number", given=value, expected="a whole number")
    return plain


def flag(value: Any, path: str) -> bool:
    plain = resolved(value)
    if not isinstance(plain, bool):
        raise SpecError(path, f"{shown(value)} is not true or false", given=value, expected="true or false")
    return plain


def choice(value: Any, path: str, choices: tuple[str, ...]) -> str:
    text = text_of(value, path)
    if text not in choices:
        near = nearest(text, choices)
        listed = f"one of {', '.join(choices)}"
        raise SpecError(
            path,
            f"{shown(text)} is not {listed}",
            given=text,
            expected=listed,
            hint=f"did you mean {near!r}?" if near else None,
        )
    return text


def list_of(value: Any, path: str) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise SpecError(path, f"it is {kind(value)}, not a list", given=value, expected="a list")
    return value


def resolved(value: Any) -> Any:
    return value.value if isinstance(value, Written) else value


def kind(value: Any) -> str:
    plain = resolved(value)
    if plain is None:
        return "nothing"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a text",
        dict: "a mapping",
        list: "a list",
    }
    return names.get(type(plain), f"a {type(plain).__name__}")
