"""Print docs/settings.md: every setting as the program itself declares it. `make docs` writes the page.

A test compares the page with what this prints.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import msgspec

from dais.kit.settings import Setting, describe, registry

_choices = re.compile(r"\^\(([a-z|]+)\)\$")

HEAD = """# Settings

This page is made by `make docs` from the settings that the program declares; a test fails when it is stale.

Dais runs without any of them. A setting is read from the environment of `dais up`, else from `dais.toml`, else it has
its default. The file is the one that `dais up --config FILE` or `DAIS_CONFIG` names, else `dais.toml` in the data
directory, else `/etc/dais/dais.toml`; the first that is found is the only one that is read. Its tables are the headings
below:

```toml
[server]
port = 9000

[compute]
default_max_run_time = 86400
```

Settings are read once, at the start. A variable `DAIS_…` or a field that nobody knows is refused with the nearest name
that is known, so that a typing error does not pass silently. Jobs never inherit any of them."""

TAIL_HEAD = """
## Where things are, and who you are

These belong to no part: they say where to find the installation, and what the client connects with. They are read from
the environment only.

| Variable | Read by | Meaning |
|---|---|---|
"""

OTHERS = {
    "DAIS_DATA_DIR": (
        "`dais up`, `dais down`, `dais status`",
        "The data directory; else the user's own for `dais` (root: `/var/lib/dais`). `--data-dir` wins.",
    ),
    "DAIS_CONFIG": ("`dais up`", "The configuration file. `--config` wins."),
    "DAIS_CONFIG_DIR": (
        "every command, the SDK",
        "Where `profiles.toml` is; else the user's own directory for `dais` (on Linux `~/.config/dais`).",
    ),
    "DAIS_CACHE_DIR": (
        "client commands, the SDK",
        "Where digests of uploaded files are remembered; else the user's own (on Linux `~/.cache/dais`).",
    ),
    "DAIS_PROFILE": ("client commands, the SDK", "The profile to use; else `default`. `--profile` wins."),
    "DAIS_URL": (
        "client commands, the SDK",
        "The server, as `http://HOST:PORT`. A profile's token goes to that profile's address only.",
    ),
    "DAIS_TOKEN": ("client commands, the SDK", "The token; else the one of the profile."),
    "DAIS_ACCOUNT": (
        "client commands, the SDK",
        "The account to act in, as `org.lab.project`; else the profile's, else your personal one. `--account` wins.",
    ),
    "DAIS_DEBUG": ("every command", "Anything but empty: print the traceback of an error, too."),
}


def page() -> str:
    """The whole page."""
    importlib.import_module("dais.app.build")  # it knows every part that has settings
    parts = [HEAD]
    for package, rows in groupby(describe(), key=lambda row: row.package):
        parts.append(f"\n## `[{package}]`\n\n{_sentence(package)}\n")
        parts.append("| Variable | Field | Value | Default | Meaning |\n|---|---|---|---|---|")
        parts.extend(_line(row) for row in rows)
    others = "".join(f"| `{name}` | {reader} | {meaning} |\n" for name, (reader, meaning) in OTHERS.items())
    return "\n".join(parts) + "\n" + TAIL_HEAD + others


def _sentence(package: str) -> str:
    return (registry[package].__doc__ or "").strip().splitlines()[0]


def _line(row: Setting) -> str:
    meaning = row.description if row.description.endswith(".") else f"{row.description}."
    cells = (f"`{row.variable}`", f"`{row.name}`", _values(row), _default(row.default), meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(row: Setting) -> str:
    """What may be given, as people say it."""
    info = msgspec.inspect.type_info(registry[row.package])
    assert isinstance(info, msgspec.inspect.StructType)
    kind: Any = next(field.type for field in info.fields if field.name == row.name)
    if isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    if isinstance(kind, msgspec.inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return "texts, with commas between them"
    if choices := _choices.fullmatch(getattr(kind, "pattern", None) or ""):
        return ", ".join(f"`{value}`" for value in choices[1].split("|"))
    name = {"int": "whole number", "float": "number", "str": "text", "bool": "`true` or `false`"}[row.type]
    return " ".join([name, *_bounds(kind)])


def _bounds(kind: Any) -> Iterator[str]:
    """The limits of a number."""
    if (least := getattr(kind, "ge", None)) is not None:
        yield f"from {least:g}" if isinstance(least, float) else f"from {least}"
    if (above := getattr(kind, "gt", None)) is not None:
        yield f"above {above:g}" if isinstance(above, float) else f"above {above}"
    if (most := getattr(kind, "le", None)) is not None:
        yield f"to {most:g}" if isinstance(most, float) else f"to {most}"


def _default(value: Any) -> str:
    if value in ("", ()):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and value >= 1 << 20 and value % (1 << 20) == 0:
        size = f"{value >> 30} GiB" if value % (1 << 30) == 0 else f"{value >> 20} MiB"
        return f"`{value}` ({size})"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    print(page(), end="")
