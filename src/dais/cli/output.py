"""How commands print what they found: text, tables, JSON, CSV, chosen fields."""

from __future__ import annotations

import csv
import functools
import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
import msgspec

from dais.cli.base import chosen, did_you_mean
from dais.cli.problems import harmless

P = ParamSpec("P")
R = TypeVar("R")

MARKS = {
    "PENDING": ("◌", "bright_black"),
    "SCHEDULED": ("◌", "bright_black"),
    "BUILDING": ("◌", "bright_black"),
    "PREPARING": ("●", "blue"),
    "RUNNING": ("●", "blue"),
    "FINISHING": ("●", "blue"),
    "READY": ("✓", "green"),
    "UP": ("✓", "green"),
    "AWAY": ("✕", "red"),
    "SUCCEEDED": ("✓", "green"),
    "FAILED": ("✕", "red"),
    "PAUSED": ("‖", "yellow"),
    "INTERRUPTED": ("‖", "yellow"),
    "CANCELLED": ("⊘", "bright_black"),
}
"""The shape and colour of each state, the same as in the console."""

FIELD_ALIASES = {
    "created": "created_at",
    "created_on": "created_at",
    "started": "started_at",
    "started_on": "started_at",
    "ended": "ended_at",
    "ended_on": "ended_at",
    "environment_vars": "environment",
}

WORDS = {"command", "argv"}
"""Fields that are one list of words, not a value for each run."""

SIZES = {"mem", "free_mem", "others_mem", "size", "memory_peak", "log_bytes", "disk_free", "disk_size"}
SIZES |= {"size_before", "size_after"}


@dataclass(frozen=True)
class Output:
    """What the user asked for. `shape` is text, table, json or csv; `document` is `--json`; `value` is `--field`.

    `camel`: the program names fields in camelCase.
    """

    shape: str = "text"
    document: bool = False
    fields: tuple[str, ...] = ()
    value: bool = False
    header: bool = True
    camel: bool = False

    def many(self, kind: type, items: Iterable[Any], columns: Sequence[str]) -> None:
        """Print a list of `kind` (an answer); `columns` are those shown unless the user chose."""
        columns = self._columns(kind, columns)
        documents = (_document(item) for item in items)
        if self.document:
            _print_json([self._chosen(document) for document in documents], indent=2)
        elif self.shape == "json":
            for document in documents:
                _print_json(self._chosen(document))
        elif self.value:
            for document in documents:
                click.echo(plain(columns[0], pick(document, columns[0])))
        elif self.shape == "csv":
            self._csv(documents, columns)
        else:
            rows = [[_cell(name, pick(document, name)) for name in columns] for document in documents]
            (_print_table if self.shape == "table" else print_text)(columns, rows, header=self.header)

    def one(self, item: Any, columns: Sequence[str]) -> None:
        """Print one answer."""
        if self.document:
            self._columns(type(item), columns)
            _print_json(self._chosen(_document(item)), indent=2)
        else:
            self.many(type(item), [item], columns)

    @property
    def for_people(self) -> bool:
        """Whether nothing was asked for but words: commands may then say more than rows."""
        return self.shape == "text" and not self.document and not self.fields

    def _columns(self, kind: type, columns: Sequence[str]) -> Sequence[str]:
        for name in self.fields:
            check_field(kind, name)
        return self.fields or ([camel_name(name) for name in columns] if self.camel else columns)

    def _chosen(self, document: dict[str, Any]) -> dict[str, Any]:
        if self.fields:
            return {name: pick(document, name) for name in self.fields}
        return camel_keys(document) if self.camel else document

    def _csv(self, documents: Iterable[dict[str, Any]], columns: Sequence[str]) -> None:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        if self.header:
            writer.writerow(columns)
        for document in documents:
            writer.writerow([plain(name, pick(document, name)) for name in columns])


def with_output(function: Callable[Concatenate[Output, P], R]) -> Callable[P, R]:
    """Gives the command the options of output, and an Output as its first argument."""

    @click.option("--json", "document", is_flag=True, help="Print one JSON document.")
    @click.option(
        "--format",
        "shape",
        type=click.Choice(["text", "table", "json", "csv"]),
        default="text",
        help="How to print; json is one object per line.",
    )
    @click.option("--field", metavar="FIELD", help="Print the value of this field alone.")
    @click.option("--fields", metavar="A,B", multiple=True, help="Print these fields, as id,name,runs.exitCode.")
    @click.option("--no-header", "-H", is_flag=True, help="Leave out the line of column names.")
    @functools.wraps(function)
    def command(
        *args: Any,
        document: bool,
        shape: str,
        field: str | None,
        fields: tuple[str, ...],
        no_header: bool,
        **kwargs: Any,
    ) -> R:
        if field and fields:
            raise click.UsageError("--field and --fields exclude each other: --fields takes several, joined by commas")
        names = (field,) if field else tuple(name.strip() for name in ",".join(fields).split(",") if name.strip())
        output = Output(shape, document, names, bool(field), not no_header, chosen().camel)
        return function(output, *args, **kwargs)

    return command  # type: ignore[return-value]


def with_output_of(kind: type) -> Callable[[Callable[Concatenate[Output, P], R]], Callable[P, R]]:
    """As `with_output`; fields that an answer of this kind has not are refused before anything is done."""

    def decorate(function: Callable[Concatenate[Output, P], R]) -> Callable[P, R]:
        def checked(output: Output, /, *args: P.args, **kwargs: P.kwargs) -> R:
            for name in output.fields:
                check_field(kind, name)
            return function(output, *args, **kwargs)

        return with_output(functools.update_wrapper(checked, function))

    return decorate


def pick(document: Any, name: str) -> Any:
    """The value at a dotted path; a list gives the list of its items' values. None where it is absent."""
    for part in name.split("."):
        if isinstance(document, list):
            document = [_at(item, part) for item in document]
        elif isinstance(document, dict):
            document = _at(document, part)
        else:
            return None
    return document


def _at(document: Any, part: str) -> Any:
    if not isinstance(document, dict):
        return None
    return next((document[key] for key in spellings(part) if key in document), None)


def spellings(name: str) -> tuple[str, ...]:
    """What a field that people write so may be called in an answer."""
    return field_name(name), name, camel_name(name)


def camel_name(name: str) -> str:
    """`exit_code` as `exitCode`; each part of a dotted path."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


PEOPLE_NAME = {"tags", "labels", "environment"}
"""Fields whose own keys are somebody's words."""


def camel_keys(value: Any) -> Any:
    """A document with its fields in camelCase."""
    if isinstance(value, dict):
        return {camel_name(key): item if key in PEOPLE_NAME else camel_keys(item) for key, item in value.items()}
    return [camel_keys(item) for item in value] if isinstance(value, list) else value


def field_name(name: str) -> str:
    """`exitCode`, `exit_code` and `createdOn` are the names of the answers' fields."""
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower().replace("-", "_")
    return FIELD_ALIASES.get(snake, snake)


def check_field(kind: type, path: str) -> None:
    """Raises UsageError with the nearest name for a field that an answer of this kind has not."""
    current: Any = kind
    for part in path.split("."):
        struct = _struct_of(current)
        if struct is None:
            return
        known = {field.encode_name: field.type for field in msgspec.structs.fields(struct)}
        name = next((one for one in spellings(part) if one in known), None)
        if name is None:
            near = did_you_mean(field_name(part), known)
            listed = "" if near else f"; there are {', '.join(known)}"
            raise click.UsageError(f"there is no field {part!r}{near}{listed}")
        current = known[name]


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """The struct in a type such as `list[Run]` or `Run | None`."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    if getattr(kind, "__origin__", None) is dict:
        return None
    return next((found for inner in getattr(kind, "__args__", ()) if (found := _struct_of(inner))), None)


def _document(item: Any) -> dict[str, Any]:
    """An answer as its JSON."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(item))
    return document


def plain(name: str, value: Any) -> str:
    """A value alone: what `--field` and CSV print. The values of several runs are joined by commas."""
    if isinstance(value, list) and field_name(name.rpartition(".")[2]) not in WORDS and not _nested(value):
        return ",".join(_exact(item) for item in value)
    return _exact(value)


def _nested(value: list[Any]) -> bool:
    return any(isinstance(item, dict | list) for item in value)


def _exact(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) and value == int(value) else harmless(str(value))


def _cell(name: str, value: Any) -> str:
    """A value in a table: short, for people."""
    last = field_name(name.rpartition(".")[2])
    if value is None or value in ([], {}, ""):
        return "-"
    if isinstance(value, list):
        parts = ["-" if item is None else _cell(name, item) for item in value]
        return f"[{' '.join(parts)}]" if last in WORDS else ",".join(parts)
    if isinstance(value, dict):
        if value.keys() == {"instant"}:  # a moment among somebody's values
            return _cell("instant_at", value["instant"])
        return ",".join(f"{key}={_cell('', item)}" if item != "" else key for key, item in value.items())
    if last in SIZES and isinstance(value, int):
        from dais.wire.units import short_size

        return short_size(value)
    if last == "error" and isinstance(value, float):  # how far a model is off
        return f"{value:.0%}"
    if last.endswith("_at") and isinstance(value, str):
        return re.sub(r"\.\d+Z$", "Z", value)
    return _exact(value).replace("\n", "\\n")


def marked(state: str) -> str:
    """A state with its mark, coloured, where the output is a terminal."""
    mark, colour = MARKS.get(state, ("", None))
    return click.style(f"{mark} {state}", fg=colour) if mark and sys.stdout.isatty() else state


def width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    text = click.unstyle(text)
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def print_text(columns: Sequence[str], rows: list[list[str]], *, header: bool) -> None:
    """Columns side by side; on a terminal, states have marks and a long command is cut to the line."""
    for number, cells in enumerate(_laid_out(columns, rows, header=header, between=2, around=0)):
        line = "  ".join(cells).rstrip()
        click.echo(click.style(line, bold=True) if header and number == 0 and sys.stdout.isatty() else line)


def _print_table(columns: Sequence[str], rows: list[list[str]], *, header: bool) -> None:
    """The same with lines around it."""
    table = _laid_out(columns, rows, header=header, between=3, around=4)
    if not table:
        return
    rules = ["─" * (width(cell) + 2) for cell in table[0]]
    click.echo(f"╭{'┬'.join(rules)}╮")
    for number, cells in enumerate(table):
        click.echo(f"│ {' │ '.join(cells)} │")
        if header and number == 0:
            click.echo(f"├{'┼'.join(rules)}┤")
    click.echo(f"╰{'┴'.join(rules)}╯")


def _laid_out(
    columns: Sequence[str], rows: list[list[str]], *, header: bool, between: int, around: int
) -> list[list[str]]:
    """Cells of equal widths; on a terminal what fits into a line with so much between and around them."""
    shown = [
        [marked(cell) if name == "state" else cell for name, cell in zip(columns, row, strict=True)] for row in rows
    ]
    table = [list(columns), *shown] if header else shown
    if not table:
        return []
    widths = [max(width(row[index]) for row in table) for index in range(len(columns))]
    if sys.stdout.isatty():
        _narrow(columns, widths, shutil.get_terminal_size().columns - between * (len(widths) - 1) - around)
    return [[_fitted(cell, size) for cell, size in zip(row, widths, strict=True)] for row in table]


def _narrow(columns: Sequence[str], widths: list[int], room: int) -> None:
    excess = sum(widths) - room
    if excess > 0 and "command" in columns:
        index = list(columns).index("command")
        widths[index] = max(12, widths[index] - excess)


def _fitted(cell: str, size: int) -> str:
    missing = size - width(cell)
    if missing >= 0:
        return cell + " " * missing
    kept = cell
    while width(kept) > size - 1:
        kept = kept[:-1]
    return kept + "…"


def _print_json(value: Any, indent: int | None = None) -> None:
    click.echo(json.dumps(value, ensure_ascii=not _writes_unicode(), indent=indent))


def _writes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
