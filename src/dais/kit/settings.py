"""Settings: one small described struct per package, read from `DAIS_<PACKAGE>_<NAME>` or `dais.toml`.

A package declares its settings once:

    @settings("compute")
    class ComputeSettings(msgspec.Struct, frozen=True, kw_only=True):
        lookahead: Annotated[int, msgspec.Meta(ge=0, description="Runs handed to an engine ahead of …")] = 2

and the composition root reads them with `load(ComputeSettings, config)`. Documentation and environment names
derive from the declaration (`registry`, `describe`).
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dais.kit.errors import Invalid

S = TypeVar("S", bound=msgspec.Struct)

registry: dict[str, type[msgspec.Struct]] = {}
"""Every settings struct by its package's name."""

_other_variables = {
    "DAIS_DATA_DIR",
    "DAIS_DEBUG",
    "DAIS_CONFIG",
    "DAIS_CACHE_DIR",
    "DAIS_CONFIG_DIR",
    "DAIS_URL",
    "DAIS_TOKEN",
    "DAIS_PROFILE",
    "DAIS_ACCOUNT",
}


def settings(package: str) -> Callable[[type[S]], type[S]]:
    """Register a struct as the settings of `package`; every field must have a default and a description."""

    def register(struct: type[S]) -> type[S]:
        for row in _rows(package, struct):
            if not row.description:
                raise TypeError(f"setting {row.variable} has no description")
        registry[package] = struct
        return struct

    return register


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as the documentation shows it."""

    package: str
    name: str
    type: str
    default: Any
    description: str

    @property
    def variable(self) -> str:
        return f"DAIS_{self.package}_{self.name}".upper()


def describe() -> list[Setting]:
    """Every registered setting, by package and name."""
    return [row for package, struct in sorted(registry.items()) for row in _rows(package, struct)]


def _rows(package: str, struct: type[msgspec.Struct]) -> Iterator[Setting]:
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        kind, description = field.type, ""
        if isinstance(kind, msgspec.inspect.Metadata):
            description = (kind.extra_json_schema or {}).get("description", "")
            kind = kind.type
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory
        if default is msgspec.NODEFAULT:
            raise TypeError(f"setting {package}.{field.name} has no default")
        yield Setting(package, field.name, type(kind).__name__.removesuffix("Type").lower(), default, description)


def read_config(path: Path | None, text: str | None = None) -> dict[str, dict[str, Any]]:
    """The tables of a `dais.toml`; empty when `path` is None. Raises Invalid `bad-config`.

    `text` is what it says, where somebody else has read it.
    """
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8") if text is None else text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"cannot read the configuration {path}: {error}", code="bad-config") from error
    for name, table in tables.items():
        if name not in registry:
            raise Invalid(f"{path}: unknown table [{name}]{_nearest(name, registry)}", code="bad-config")
        if not isinstance(table, dict):
            raise Invalid(f"{path}: {name} must be a table, [{name}]", code="bad-config")
    return tables


def load(struct: type[S], config: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str] | None = None) -> S:
    """The settings of one package: defaults, then the configuration file, then the environment.

    Raises Invalid `bad-setting` with the variable's or field's name, what was given and what was expected.
    """
    environ = os.environ if environ is None else environ
    package = next(name for name, known in registry.items() if known is struct)
    values: dict[str, Any] = {}
    for name, value in config.get(package, {}).items():
        if name not in struct.__struct_fields__:
            near = _nearest(name, struct.__struct_fields__)
            raise Invalid(f"unknown setting {name} in [{package}]{near}", code="bad-setting")
        values[name] = _convert(value, struct, name, f"[{package}] {name}")
    for row in _rows(package, struct):
        if row.variable in environ:
            values[row.name] = _convert(environ[row.variable], struct, row.name, row.variable)
    return struct(**values)


def check_environment(environ: Mapping[str, str] | None = None) -> None:
    """Refuse `DAIS_*` variables that no package knows: a mistyped setting must not pass silently."""
    environ = os.environ if environ is None else environ
    known = {row.variable for row in describe()} | _other_variables
    for name in environ:
        if name.startswith("DAIS_") and name not in known:
            raise Invalid(f"unknown environment variable {name}{_nearest(name, known)}", code="bad-setting")


def _convert(value: Any, struct: type[msgspec.Struct], name: str, where: str) -> Any:
    """`value` as the type of the field, by decoding it alone."""
    kind = next(f.type for f in msgspec.structs.fields(struct) if f.name == name)
    plain = kind.__origin__ if hasattr(kind, "__metadata__") else kind
    try:
        if isinstance(value, str) and plain in (list[str], tuple[str, ...]):
            value = [part for part in value.split(",") if part]
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"{where} is {value!r}: {error}", code="bad-setting", setting=where) from error


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else f"; known: {', '.join(sorted(known))}"
