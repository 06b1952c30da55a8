"""Option hints in a command: `python train.py --epoch {1,2,5}`. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import msgspec

from dais.kit.errors import Invalid
from dais.wire.problems import nearest
from dais.wire.templates import MAX_LEVELS

MAX_OPTIONS = 12
MAX_TEXTS = 40
"""Values of all options that are texts: each is a term of the model."""

# Not `${VARIABLE}`, and nothing with quotes or blanks around words, which shells and awk have in braces.
_hint = re.compile(r"(?<!\$)\{([^{}\"'$;]*)\}")
_before = re.compile(r"(?:^|\s)--?([A-Za-z][A-Za-z0-9_.-]*)(?:\s+|=)$")
_assigned = re.compile(r"(?:^|\s)([A-Za-z_][A-Za-z0-9_]*)=$")


class Hint(msgspec.Struct, frozen=True):
    """An option: its name, its values as they were written, and whether all are numbers."""

    name: str
    values: tuple[str, ...]
    numeric: bool

    @property
    def levels(self) -> tuple[float, ...]:
        """The values of a numeric option."""
        return tuple(float(value) for value in self.values)


def parse_hints(command: Sequence[str]) -> tuple[Hint, ...]:
    """The hints of a command, in their order; named by the flag before them, else `option1`, `option2`, ….

    Braces with one word and no comma are taken as they are, unless it is a number. Raises Invalid `bad-hint`.
    """
    found: list[Hint] = []
    for place, word in enumerate(command):
        for match in _hint.finditer(word):
            if not _is_hint(match[1]):
                continue
            before = word[: match.start()]
            if not before and place:
                before = command[place - 1] + " "
            found.append(_one(match[1], before, found))
    if len(found) > MAX_OPTIONS:
        raise _bad(f"the command has {len(found)} options in braces; at most {MAX_OPTIONS} are learned about")
    texts = sum(len(hint.values) for hint in found if not hint.numeric)
    if texts > MAX_TEXTS:
        raise _bad(f"the options that are texts have {texts} values; at most {MAX_TEXTS} are learned about")
    return tuple(found)


def fill_in(command: Sequence[str], values: Sequence[str]) -> tuple[str, ...]:
    """The command with a value for each hint, in their order."""
    left = iter(values)

    def put(match: re.Match[str]) -> str:
        return next(left) if _is_hint(match[1]) else match[0]

    return tuple(_hint.sub(put, word) for word in command)


def read_parameters(hints: Sequence[Hint], given: Mapping[str, str]) -> tuple[str, ...]:
    """A value for each hint. Raises Invalid `bad-parameter`: missing, unknown, not a number, not one of the texts."""
    names = [hint.name for hint in hints]
    for name in given:
        if name not in names:
            near = nearest(name, names)
            known = f"did you mean {near}?" if near else f"it has {', '.join(names) or 'none'}"
            raise Invalid(f"the template has no option {name[:80]!r}; {known}", code="bad-parameter", option=name[:80])
    return tuple(_parameter(hint, given.get(hint.name)) for hint in hints)


def _parameter(hint: Hint, text: str | None) -> str:
    about = f"option {hint.name} was profiled with {', '.join(hint.values)}"
    if text is None:
        if len(hint.values) == 1:
            return hint.values[0]
        raise Invalid(f"{hint.name} is missing; {about}: give it as {hint.name}=VALUE", code="bad-parameter")
    if hint.numeric:
        if number(text) is None:
            raise Invalid(f"{hint.name} is {text[:80]!r}, which is not a number; {about}", code="bad-parameter")
        if all(level > 0 for level in hint.levels) and float(text) <= 0:
            raise Invalid(f"{hint.name} is {text[:80]}; it must be above 0, for {about}", code="bad-parameter")
        return text
    if text not in hint.values:
        raise Invalid(f"{hint.name} is {text[:80]!r}; nothing is known of that, for {about}", code="bad-parameter")
    return text


def number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in text and text == text.strip() else None


def _is_hint(inside: str) -> bool:
    return "," in inside or number(inside.strip()) is not None


def _one(inside: str, before: str, found: Sequence[Hint]) -> Hint:
    match = _before.search(before) or _assigned.search(before)
    name = match[1] if match else f"option{len(found) + 1}"
    values = tuple(part.strip() for part in inside.split(","))
    shown = "{" + inside[:80] + "}"
    if any(not value for value in values):
        raise _bad(f"{name}: {shown} has an empty value; write {{1,2,5}}, or escape the braces in a script of yours")
    if len(values) > MAX_LEVELS:
        raise _bad(f"{name}: {shown} has {len(values)} values; at most {MAX_LEVELS} are tried")
    if len(set(values)) != len(values):
        raise _bad(f"{name}: {shown} has a value twice")
    if any(hint.name == name for hint in found):
        raise _bad(f"{name} is there twice; each option has one hint")
    return Hint(name, values, all(number(value) is not None for value in values))


def _bad(problem: str) -> Invalid:
    return Invalid(problem, code="bad-hint")
