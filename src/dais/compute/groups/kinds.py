"""What kinds of engines can be attached, as far as compute has to know: their options, a check, and a way to make one.

The composition root fills the table; each entry imports its engine when it is asked for, and not before.
"""

from __future__ import annotations

import shlex
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dais.engines.contract import CheckReport, Engine
from dais.kit.errors import Invalid, Unavailable
from dais.wire.problems import nearest


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One kind. `options` is a strict struct; `make` gets them and the name of the group, and starts nothing."""

    options: type[msgspec.Struct]
    make: Callable[[Any, str], Engine]
    check: Callable[[Any], Awaitable[CheckReport]]


Kinds = Mapping[str, Callable[[], EngineKind]]
"""By what `dais attach` is told."""


def find_kind(kinds: Kinds, name: str) -> EngineKind:
    """Raises Invalid `no-such-engine`, Unavailable `engine-not-installed` where a library of it is missing."""
    entry = kinds.get(name)
    if entry is None:
        near = nearest(name, kinds)
        hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(sorted(kinds)) or 'none here'}"
        raise Invalid(f"there is no engine {name!r} to attach; {hint}", code="no-such-engine", engine=name)
    try:
        return entry()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "dais":
            raise
        raise Unavailable(
            f"the engine {name} needs {error.name}, which is not installed with the server; install the extra "
            "dais-platform[server] anew",
            code="engine-not-installed",
        ) from error


def read_options(name: str, kind: EngineKind, given: Mapping[str, Any]) -> Any:
    """The options as their struct. Text that a command line gave is read as the type of its field; where that is a
    list, as words like a shell's.

    Raises Invalid `bad-option` with the option, what was given, and the nearest name where it is not known.
    """
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind.options)}
    for option in given:
        if option not in fields:
            near = nearest(option, fields)
            hint = f"did you mean {near!r}?" if near else f"there are: {', '.join(sorted(fields))}"
            raise Invalid(f"the engine {name} has no option {option!r}; {hint}", code="bad-option", option=option)
    try:
        return msgspec.convert(
            {option: _words(value, fields[option]) for option, value in given.items()}, kind.options, strict=False
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise Invalid(f"an option of the engine {name} cannot be so: {error}", code="bad-option") from error


def _words(value: Any, wanted: Any) -> Any:
    """Text for a list of words as such a list. Raises ValueError where a quotation does not end."""
    return shlex.split(value) if isinstance(value, str) and typing.get_origin(wanted) is tuple else value


def written_options(options: Any) -> dict[str, Any]:
    """The options as they are kept: those that are not as by default."""
    document: dict[str, Any] = msgspec.to_builtins(options)
    defaults = {
        field.encode_name: msgspec.to_builtins(field.default)
        for field in msgspec.structs.fields(type(options))
        if field.default is not msgspec.NODEFAULT
    }
    return {name: value for name, value in document.items() if name not in defaults or defaults[name] != value}
