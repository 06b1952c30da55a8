"""A job's secrets in its specification: names only. Values are set with `dais secret set`, and never stand in a spec.

`NAME` is given to the job as the variable NAME, `NAME:VARIABLE` under another one, `NAME:/path` as a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dais.wire.names import ENVIRONMENT_NAME, RESERVED_PREFIXES, SECRET_NAME
from dais.wire.problems import SpecError, nearest, shown
from dais.wire.scalars import list_of, text_of
from dais.wire.spec import SecretUse

FIELDS = ("name", "variable", "file")
MAX_SECRETS = 64


def read_secrets(value: Any, path: str) -> tuple[SecretUse, ...]:
    """The field `secrets`: texts, or mappings of `name` and `variable` or `file`. Raises SpecError."""
    return tuple(_read(item, f"{path}[{index}]") for index, item in enumerate(list_of(value, path)))


def merged(base: tuple[SecretUse, ...], over: tuple[SecretUse, ...]) -> tuple[SecretUse, ...]:
    """Both; where they go to the same place, that of `over`."""
    taken = {place(use) for use in over}
    return (*(use for use in base if place(use) not in taken), *over)


def place(use: SecretUse) -> str:
    """The file, or the variable, that holds the value in the job."""
    return use.file or use.variable or use.name


def human_secret(use: SecretUse) -> str:
    """The text that people would write."""
    where = use.file or (use.variable if use.variable != use.name else None)
    return f"{use.name}:{where}" if where else use.name


def check_secret_name(name: str, path: str = "name") -> str:
    """The name itself. Raises SpecError."""
    if not SECRET_NAME.fullmatch(name):
        raise SpecError(
            path,
            f"{shown(name)} cannot name a secret",
            given=name,
            expected="letters, digits and _, not beginning with a digit, at most 255",
            hint="write for example HF_TOKEN",
        )
    if name.upper().startswith(RESERVED_PREFIXES):
        raise SpecError(
            path,
            f"{shown(name)} cannot name a secret: names with DAIS_ and EAI_ are those that Dais itself sets in jobs",
            given=name,
            hint="choose another name",
        )
    return name


def check_variable(use: SecretUse, environment: Mapping[str, str], path: str) -> None:
    """The variable that a secret becomes is one that a job may have, and nobody else sets. Raises SpecError."""
    variable = place(use)
    if not ENVIRONMENT_NAME.fullmatch(variable) or variable.upper().startswith(RESERVED_PREFIXES):
        raise SpecError(
            path,
            f"{shown(variable)} cannot be the variable of a secret",
            given=variable,
            expected="letters, digits and _, not beginning with DAIS_ or EAI_",
            hint="write NAME, NAME:VARIABLE or NAME:/path",
        )
    if variable in environment:
        raise SpecError(
            path, f"{shown(variable)} is set by `environment`, too", given=variable, hint="keep one of them"
        )


def _read(item: Any, path: str) -> SecretUse:
    if isinstance(item, Mapping):
        for key in item:
            if key not in FIELDS:
                near = nearest(str(key), FIELDS)
                raise SpecError(
                    f"{path}.{key}",
                    "there is no such field",
                    given=key,
                    expected=", ".join(FIELDS),
                    hint=f"did you mean {near!r}?" if near else f"there are {', '.join(FIELDS)}",
                    code="unknown-field",
                )
        if "name" not in item:
            raise SpecError(path, "the field 'name' is missing", expected="name, and variable or file")
        fields = {str(key): text_of(value, f"{path}.{key}") for key, value in item.items() if value is not None}
        return _plain(SecretUse(**fields))
    name, colon, where = text_of(item, path).partition(":")
    if colon and not where:
        raise SpecError(
            path,
            f"{shown(item)} ends with ':'",
            given=item,
            expected="NAME, NAME:VARIABLE or NAME:/path",
            hint="name the variable or the file behind it, or leave the ':' out",
        )
    if where.startswith("/"):
        return SecretUse(name=name, file=where)
    return _plain(SecretUse(name=name, variable=where or None))


def _plain(use: SecretUse) -> SecretUse:
    return SecretUse(name=use.name) if use.file is None and use.variable == use.name else use
