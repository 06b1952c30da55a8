"""Job specifications in YAML files: read with line and column, written so that they can be read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dais.sdk.errors import Invalid
from dais.wire.read import SpecError, Written, human, read_spec
from dais.wire.spec import JobSpec

MAX_BYTES = 4 << 20
MAX_VALUES = 100_000
"""Aliases may repeat values; a document that grows beyond this is an attack or a mistake."""

MAX_DEPTH = 50

_plain_tags = ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Texts of several lines are written as blocks, where YAML can."""

    def represent_str(self, text: str) -> yaml.Node:
        style = "|" if "\n" in text else None
        node: yaml.Node = self.represent_scalar("tag:yaml.org,2002:str", text, style=style)
        return node


_Dumper.add_representer(str, _Dumper.represent_str)


@dataclass(frozen=True)
class Document:
    """What a file says. `positions` gives line and column (from 1) of each value, by its path."""

    value: Any
    positions: dict[str, tuple[int, int]]
    origin: str

    def place(self, path: str) -> str:
        """`job.yml:7:3`, of the value at a path or of the nearest one around it."""
        while path and path not in self.positions:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        line, column = self.positions.get(path, (1, 1))
        return f"{self.origin}:{line}:{column}"


def read_spec_file(path: str | Path, overrides: Mapping[str, Any] | None = None) -> JobSpec:
    """The specification in a YAML (or JSON) file, "-" for standard input; `overrides` win over it.

    Raises Invalid that names the line, and OSError.
    """
    document = load(_read(path), "standard input" if str(path) == "-" else str(path))
    try:
        return read_spec(document.value, overrides)
    except SpecError as error:
        message = f"{document.place(error.path)}: {error}"
        raise Invalid(message, code=error.code, hint=error.hint, fields={"path": error.path}) from error


def load(text: str, origin: str) -> Document:
    """Parse one YAML document whose top is a mapping. Raises Invalid with line and column.

    Plain scalars that stand for something else than text keep how they were written (`wire.read.Written`); a key
    given twice is refused.
    """
    try:
        _refuse_depth(text, origin)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{origin}:{mark.line + 1}:{mark.column + 1}" if mark else origin
        words = ", ".join(part for part in (error.problem, error.context) if part)
        raise Invalid(f"{where}: this is not YAML: {words}", code="bad-yaml", hint=_yaml_hint(words)) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise Invalid(f"{origin}: this is not YAML: {error}", code="bad-yaml") from error
    if node is None:
        raise Invalid(f"{origin}: the file is empty", code="bad-yaml", hint="write at least `command: [...]`")
    builder = _Builder(origin)
    value = builder.build(node, "")
    if not isinstance(value, dict):
        raise Invalid(
            f"{origin}:1:1: a job is a mapping of fields", code="bad-yaml", hint="write at least `command: [...]`"
        )
    return Document(value, builder.positions, origin)


def dump(spec: JobSpec) -> str:
    """A specification as the YAML that people would write; `-f` reads it back."""
    return dump_document(human(spec))


def dump_document(document: Any) -> str:
    """Any plain document as YAML."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=100
    )
    return text


def _refuse_depth(text: str, origin: str) -> None:
    """The C parser composes recursively, and would overflow its stack where Python would raise."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise Invalid(f"{origin}:{line}: it is nested more than {MAX_DEPTH} deep; no job is", code="bad-yaml")


class _Builder:
    """Makes plain values of YAML nodes."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.positions: dict[str, tuple[int, int]] = {}
        self._scalars = yaml.constructor.SafeConstructor()
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: yaml.Node, path: str) -> Any:
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._refusal(node, "it grows too large; aliases repeat too much")
        self.positions.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._refusal(node, "an alias means itself")
        if node.tag not in _plain_tags:
            raise self._refusal(node, f"the tag {node.tag!r} means nothing in a job")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.build(item, f"{path}[{index}]") for index, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, path: str) -> dict[str, Any]:
        built: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged |= self._merged(value_node, path)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._refusal(key_node, "a field's name must be a text")
            key = str(key_node.value)
            if key in built:
                raise self._refusal(key_node, f"the key {key!r} is given twice")
            where = f"{path}.{key}" if path else key
            self.positions[where] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            built[key] = self.build(value_node, where)
        return merged | built

    def _merged(self, node: yaml.Node, path: str) -> dict[str, Any]:
        """What `<<: *base` brings; of a list, the first wins."""
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for one in nodes:
            value = self.build(one, path)
            if not isinstance(value, dict):
                raise self._refusal(one, "<< takes a mapping")
            found = value | found
        return found

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        if node.tag == "tag:yaml.org,2002:str":
            return text
        try:
            value = self._scalars.construct_object(node)
        except (yaml.MarkedYAMLError, ValueError) as error:
            problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error)
            raise self._refusal(node, problem or "it cannot be read") from error
        return Written(text, value if isinstance(value, bool | int | float | None) else text)

    def _refusal(self, node: yaml.Node, problem: str) -> Invalid:
        mark = node.start_mark
        return Invalid(f"{self.origin}:{mark.line + 1}:{mark.column + 1}: {problem}", code="bad-yaml")


def _read(path: str | Path) -> str:
    if str(path) == "-":
        import sys

        raw = sys.stdin.buffer.read(MAX_BYTES + 1)
    else:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise Invalid(f"{path}: the file is larger than {MAX_BYTES:,} bytes; this is no job", code="bad-yaml")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Invalid(f"{path}:{line}: the file is not UTF-8 text", code="bad-yaml", hint="save it as UTF-8") from error


def _yaml_hint(words: str) -> str | None:
    if "cannot start any token" in words:
        return "indent with spaces, for YAML takes no tabs; put quotes around texts that begin with @, ` or %"
    if "mapping values are not allowed" in words:
        return "check the indentation, and put quotes around texts that hold ': '"
    return None
