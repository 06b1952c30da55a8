"""Conditions as SQL. A condition has a shape, which statements are compiled for, and values for its parameters.

What is tested is one entity: a column with its id, and the row of its kind. Conditions come here checked (`asking`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, literal, literal_column, not_, or_, select
from sqlalchemy import false as sql_false

from dais.kit.database import in_list
from dais.provenance.meta.tables import meta_tags, meta_values
from dais.provenance.meta.types import Kind
from dais.provenance.meta.values import TEXT

Shape = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class OnValue:
    """A condition on a key-value; `texts` are those that a regular expression matched."""

    key: str
    op: str
    type: int = 0
    value: Any = None
    end: Any = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OnTag:
    """Whether it has a tag; `tags`: one of those that a regular expression matched."""

    tag: str
    op: str = "="
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OnFact:
    """A condition on what an entity tells of itself."""

    key: str
    op: str
    value: Any = None
    end: Any = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Several conditions: `any` of them, or `all`."""

    how: str
    parts: tuple[Test, ...]


Test = OnValue | OnTag | OnFact | Group


def shape_of(test: Test) -> Shape:
    """What its statement depends on."""
    if isinstance(test, OnValue):
        return ("value", test.op, test.type)
    if isinstance(test, OnTag):
        return ("tag", test.op)
    if isinstance(test, OnFact):
        return ("fact", test.op, test.key)
    return (test.how, *(shape_of(part) for part in test.parts))


def needs_facts(shape: Shape) -> bool:
    """Whether it is, or holds, a condition on what an entity tells of itself."""
    return shape[0] == "fact" or (shape[0] in ("any", "all") and any(needs_facts(part) for part in shape[1:]))


def values_of(test: Test, name: str) -> dict[str, Any]:
    """Its parameters, whose names begin with `name`."""
    if isinstance(test, Group):
        found: dict[str, Any] = {}
        for place, part in enumerate(test.parts):
            found |= values_of(part, f"{name}_{place}")
        return found
    values: dict[str, Any] = {}
    if isinstance(test, OnTag):
        return {f"{name}_tags": list(test.tags)} if test.op == "in" else {f"{name}_tag": test.tag}
    if isinstance(test, OnValue):
        values[f"{name}_key"] = test.key
    if test.op == "in":
        values[f"{name}_texts"] = list(test.texts)
    elif test.op not in ("exists", "absent"):
        values[f"{name}_value"] = test.value
    if test.op == "range":
        values[f"{name}_end"] = test.end
    return values


def expression(shape: Shape, name: str, kind: Kind, entity: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition on the entity whose id is `entity`, and whose row is that of `kind.rows`."""
    what = shape[0]
    if what in ("any", "all"):
        parts = [expression(part, f"{name}_{place}", kind, entity) for place, part in enumerate(shape[1:])]
        return or_(sql_false(), *parts) if what == "any" else and_(literal(1) == literal(1), *parts)
    if what == "fact":
        column = kind.column(shape[2])
        return _compared(column, shape[1], name)
    table: Any = meta_tags if what == "tag" else meta_values
    row = table.alias()
    one: ColumnElement[int] = literal_column("1")
    inside = select(one).select_from(row).where(row.c.entity_id == entity, *stretch(shape, name, row))
    there = exists(inside.correlate_except(row))
    return not_(there) if shape[1] == "absent" else there


def stretch(shape: Shape, name: str, row: Any) -> list[ColumnElement[bool]]:
    """The conditions on a row of `meta_values` or `meta_tags` which meets such a condition, but for its entity."""
    if shape[0] == "tag":
        tags = in_list(row.c.tag, f"{name}_tags") if shape[1] == "in" else row.c.tag == bindparam(f"{name}_tag")
        return [tags]
    _, op, type_ = shape
    found: list[ColumnElement[bool]] = [row.c.key == bindparam(f"{name}_key")]
    if op in ("exists", "absent"):
        return found
    column = row.c.text if type_ == TEXT else row.c.number
    same: ColumnElement[bool] = row.c.type == literal_column(str(type_))
    if op == "!=":
        return [*found, not_(and_(same, column == bindparam(f"{name}_value")))]
    if op == "=":  # all of the index's columns
        other = row.c.number == literal_column("0") if type_ == TEXT else row.c.text == literal_column("''")
        return [*found, same, other, column == bindparam(f"{name}_value")]
    return [*found, same, _compared(column, op, name)]


def _compared(column: ColumnElement[Any], op: str, name: str) -> ColumnElement[bool]:
    value: Any = bindparam(f"{name}_value")
    if op == "range":
        return and_(column > value, column <= bindparam(f"{name}_end"))
    if op == "in":
        return in_list(column, f"{name}_texts")
    if op in ("exists", "absent"):
        return column.is_not(None) if op == "exists" else column.is_(None)
    compared: ColumnElement[bool] = column.op({"=": "=", "!=": "<>"}.get(op, op), is_comparison=True)(value)
    return compared
