"""A handler's signature as what a request must carry: path, query and header parameters, and the body."""

from __future__ import annotations

import difflib
import inspect
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec

from dais.kit.errors import Invalid

Scope = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Header:
    """`Annotated[str | None, Header("Idempotency-Key")]`: the parameter comes from that header."""

    name: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a route; `name` is the handler's, `wire` what the request calls it."""

    name: str
    wire: str
    place: Literal["path", "query", "header"]
    type: Any
    required: bool
    default: Any

    @property
    def many(self) -> bool:
        """Whether it may be given several times."""
        return any(get_origin(kind) is list for kind in (self.type, *get_args(self.type)))


_placeholder = re.compile(r"\{(\w+)\}")


class Binder:
    """Turns a request into the keyword arguments of a handler.

    The first `skip` parameters of the handler are given by the framework. A parameter named in the path comes from
    there, one annotated with Header from a header, `body` from the JSON body, every other from the query. Names in
    the path that the handler does not ask for are left to `scope["path_params"]`.
    """

    def __init__(self, handler: Callable[..., Any], path: str, skip: int) -> None:
        hints = get_type_hints(handler, include_extras=True)
        in_path = _placeholder.findall(path)
        self.body: Any = None
        self.answer: Any = hints.get("return")
        self.parameters: list[Parameter] = []
        for name, parameter in list(inspect.signature(handler).parameters.items())[skip:]:
            kind = hints.get(name, str)
            if name == "body":
                self.body = kind
                _require_strict(handler, kind)
            else:
                self.parameters.append(_parameter(name, kind, parameter, in_path))
        by_name = {p.name: p for p in self.parameters if p.place == "path"}
        self._path = [by_name.get(name) for name in in_path]
        self._query = {p.wire: p for p in self.parameters if p.place == "query"}
        self._required = [p for p in self.parameters if p.place == "query" and p.required]
        self._headers = {p.wire.lower().encode(): p for p in self.parameters if p.place == "header"}

    def bind(self, scope: Scope, values: Sequence[str]) -> dict[str, Any]:
        """The arguments, without the body. Raises Invalid naming the parameter, what was given and what is known."""
        bound: dict[str, Any] = {}
        for parameter, value in zip(self._path, values, strict=True):
            if "\0" in value:
                raise Invalid("the path holds a NUL character; remove it", code="nul-character")
            if parameter is not None:
                bound[parameter.name] = value if parameter.type is str else _convert(parameter, value)
        if scope["query_string"] or self._required:
            self._bind_query(scope["query_string"], bound)
        if self._headers:
            for name, raw in scope["headers"]:
                parameter = self._headers.get(name)
                if parameter is not None:
                    bound[parameter.name] = _convert(parameter, raw.decode("latin-1"))
        return bound

    def _bind_query(self, query: bytes, bound: dict[str, Any]) -> None:
        for name, value in query_items(query):
            parameter = self._query.get(name)
            if parameter is None:
                raise _unknown_parameter(name, self._query)
            if parameter.many:
                bound.setdefault(parameter.name, []).append(value)
            elif parameter.name in bound:
                raise Invalid(f"query parameter {name} is given twice", code="bad-parameter", parameter=name)
            else:
                bound[parameter.name] = _convert(parameter, value)
        for parameter in self._required:
            if parameter.name not in bound:
                raise Invalid(
                    f"query parameter {parameter.wire} is missing", code="missing-parameter", parameter=parameter.wire
                )


def query_items(query: bytes) -> list[tuple[str, str]]:
    """The names and values of a query string. Raises Invalid when it holds NUL, or is not UTF-8."""
    try:
        items = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200)
    except (UnicodeDecodeError, ValueError) as error:
        raise Invalid("the query string is not percent-encoded UTF-8", code="bad-parameter") from error
    if any("\0" in name or "\0" in value for name, value in items):
        raise Invalid("the query string holds a NUL character; remove it", code="nul-character")
    return items


def _parameter(name: str, kind: Any, parameter: inspect.Parameter, in_path: list[str]) -> Parameter:
    required = parameter.default is inspect.Parameter.empty
    default = None if required else parameter.default
    if get_origin(kind) is Annotated:
        inner, *notes = get_args(kind)
        header = next((note for note in notes if isinstance(note, Header)), None)
        if header is not None:
            optional = not required or type(None) in get_args(inner)
            if required and optional:
                raise TypeError(f"header parameter {name} needs a default")
            return Parameter(name, header.name, "header", inner, required, default)
    if name in in_path:
        return Parameter(name, name, "path", kind, True, None)
    return Parameter(name, name.rstrip("_"), "query", kind, required, default)


def _convert(parameter: Parameter, text: str) -> Any:
    kind = parameter.type
    if kind is str or kind == (str | None):
        return text
    if kind is bool and text == "":  # `?dry_run` alone
        return True
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(
            f"{parameter.place} parameter {parameter.wire} is {text[:80]!r}: {error}",
            code="bad-parameter",
            parameter=parameter.wire,
            given=text[:80],
        ) from error


def _unknown_parameter(name: str, known: dict[str, Parameter]) -> Invalid:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}" if known else "none is known here"
    return Invalid(
        f"unknown query parameter {name[:80]!r}; {hint}", code="unknown-parameter", parameter=name[:80], hint=hint
    )


def _require_strict(handler: Callable[..., Any], kind: Any) -> None:
    """What people write is refused when a field is unknown: every struct that a route takes must say so."""
    members = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    for member in members:
        config = getattr(member, "__struct_config__", None)
        if config is not None and not config.forbid_unknown_fields:
            raise TypeError(
                f"{handler.__qualname__}: {member.__name__} must be declared with forbid_unknown_fields=True"
            )
