"""JSON bodies into structs. What does not fit is told by its path, with what was given and what was expected."""

from __future__ import annotations

import difflib
import re
from typing import Any

import msgspec
from msgspec import inspect

from dais.kit.errors import Invalid

_with_path = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_expected = re.compile(r"^Expected (?P<expected>.*?)(?:, got `?(?P<given>.*?)`?)?$", re.DOTALL)
_unknown = re.compile(r"unknown field `(?P<name>.*)`$", re.DOTALL)
_step = re.compile(r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\])")
_nul = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

SHOWN = 80
"""Characters of a wrong value that a message repeats."""


class BodyDecoder:
    """Decodes one type, strictly."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self._decode = msgspec.json.Decoder(kind).decode

    def __call__(self, raw: bytes) -> Any:
        """The value. Raises Invalid `bad-json` or `bad-body`; its fields are path, given, expected and hint."""
        if b"\\u0000" in raw and _nul.search(raw):
            raise Invalid(
                "the body holds a NUL character (\\u0000), which no text in Dais may; remove it", code="nul-character"
            )
        try:
            return self._decode(raw)
        except msgspec.ValidationError as error:
            raise self._explain(str(error), raw) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            if not raw.strip():
                raise Invalid("a JSON body is expected, and none was sent", code="bad-json") from error
            raise Invalid(f"the body is not JSON: {error}", code="bad-json") from error

    def _explain(self, text: str, raw: bytes) -> Invalid:
        parts = _with_path.match(text)
        assert parts is not None
        what, path = parts["what"], (parts["path"] or "$")
        fields: dict[str, Any] = {"path": path}
        unknown = _unknown.search(what)
        if unknown:
            name = unknown["name"]
            known = _field_names(self.kind, path)
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}" if known else ""
            fields |= {"path": f"{path}.{name}", "given": name, "expected": known, "hint": hint}
            return Invalid(
                f"unknown field {name!r} at {path}" + (f"; {hint}" if hint else ""), code="unknown-field", **fields
            )
        expected = _expected.match(what)
        if expected:
            fields["expected"] = expected["expected"].replace("`", "")
        shown, found = _given(raw, path)
        if found:
            fields["given"] = shown
            return Invalid(f"{path} is {shown}: {what[0].lower()}{what[1:]}", code="bad-body", **fields)
        return Invalid(f"{what} at {path}", code="bad-body", **fields)


def _given(raw: bytes, path: str) -> tuple[str, bool]:
    """The value at `path` as short JSON, where the path says exactly which it is."""
    try:
        value = msgspec.json.decode(raw)
        for key, index, any_value in _step.findall(path.removeprefix("$")):
            if any_value:
                return "", False
            value = value[int(index)] if index else value[key]
        if isinstance(value, dict | list) and path == "$":
            return "", False
        text = msgspec.json.encode(value).decode()
    except (msgspec.DecodeError, LookupError, TypeError, ValueError, RecursionError):
        return "", False
    return (text if len(text) <= SHOWN else text[:SHOWN] + "…"), True


def _field_names(kind: Any, path: str) -> list[str]:
    """The fields that the struct at `path` has; empty where the type is no struct."""
    node: Any = inspect.type_info(kind)
    for key, index, any_value in _step.findall(path.removeprefix("$")):
        node = _enter(node, key, bool(index), bool(any_value))
    found = next((part for part in _alternatives(node) if isinstance(part, inspect.StructType)), None)
    return [field.encode_name for field in found.fields] if found else []


def _alternatives(node: Any) -> list[Any]:
    if isinstance(node, inspect.Metadata):
        return _alternatives(node.type)
    if isinstance(node, inspect.UnionType):
        return [inner for part in node.types for inner in _alternatives(part)]
    return [node]


def _enter(node: Any, key: str, indexed: bool, any_value: bool) -> Any:
    for part in _alternatives(node):
        if key and isinstance(part, inspect.StructType):
            for field in part.fields:
                if field.encode_name == key:
                    return field.type
        if (indexed or any_value) and hasattr(part, "item_type"):
            return part.item_type
        if isinstance(part, inspect.DictType):
            return part.value_type
    return None
