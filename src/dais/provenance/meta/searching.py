"""Statements that find entities, each made once for the shape of what is asked.

A search starts at a *driver* and tests what it meets: the index of the key that is sorted by (ORDER), the stretch of an
index that one of the conditions means (its place), or all entities of an account (None).
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
)

from dais.identity import INSTALLATION, conditions
from dais.kit.database import Statement
from dais.provenance.meta.conditions import Shape, expression, needs_facts, stretch
from dais.provenance.meta.tables import meta_tags, meta_values
from dais.provenance.meta.types import Kind

ORDER = -1
"""The driver is the index of the key that is sorted by."""

WHOLE = "whole_"
"""How the names of parameters begin that tell what of the installation's may be seen."""

Way = tuple[Any, ...]
"""How it is sorted: `("newest",)`, `("key", type or 0)`, or `("fact", key)`."""


class Plan(NamedTuple):
    """What a statement is made for. `width`: no more entries of the driver than that are looked at.

    `same` are the places of tests on the key that is sorted by: they bound the stretch of its index. `counted` is ""
    for the entities; "driver" for how many entries were looked at, "candidates" for how many of them meet what metadata
    can tell, "found" for how many entities are found, the last two up to the limit.
    """

    kind: Kind
    tests: tuple[Shape, ...]
    seen: frozenset[str]
    driver: int | None
    way: Way
    down: bool
    after: bool
    width: int | None
    same: tuple[int, ...] = ()
    counted: str = ""

    @property
    def by_metadata(self) -> bool:
        """Whether metadata alone tell which entities are found: all are seen, and no fact is asked for."""
        plain = not self.seen and self.driver is not None and self.way[0] != "fact"
        return plain and not any(needs_facts(shape) for shape in self.tests)


@functools.lru_cache(maxsize=512)
def statement(plan: Plan) -> Statement:
    """Its parameters: `account_id`, `kind`, `limit`, those of the tests (`c0`, `c1` …), `order_key`, and `at_…`."""
    if plan.counted == "driver":
        return Statement(select(func.count()).select_from(_driven(plan)))
    facts = plan.kind.rows
    if plan.by_metadata and plan.counted != "found":
        entries, position = _tested(plan, None)
        some = _first(plan, entries.with_only_columns(*_named(position)), position).subquery("candidates")
        if plan.counted == "candidates":
            return Statement(select(func.count()).select_from(some))
        position = list(some.c)
        query: Any = select(facts, *position).select_from(some.join(facts, facts.c.id == position[-1]))
        return Statement(query.order_by(*_order(position, plan.down)))
    query, position = _tested(plan, facts)
    query = query.where(*_allowed(plan))
    if plan.counted:
        found = query.with_only_columns(facts.c.id).limit(bindparam("limit")).subquery()
        return Statement(select(func.count()).select_from(found))
    return Statement(_first(plan, query.with_only_columns(facts, *_named(position)), position))


@functools.lru_cache(maxsize=256)
def counted(kind: Kind, shape: Shape, most: int) -> Statement:
    """How many entries the stretch of one condition has, counted up to `most`."""
    row = _table(shape).alias("counted")
    some: Select[Any] = select(literal_column("1").label("one")).where(*_of_kind(kind, row), *stretch(shape, "c", row))
    return Statement(select(func.count()).select_from(some.limit(literal_column(str(most))).subquery()))


def position_names(way: Way) -> int:
    """How many columns tell where in the order a row is."""
    return {"newest": 1, "fact": 2, "key": 4}[way[0]]


def in_order_of_age(shape: Shape) -> bool:
    """Whether the stretch of a condition is sorted by the entities' ids, which is by their age."""
    return shape[0] in ("value", "tag") and shape[1] == "="


def _tested(plan: Plan, facts: Any) -> tuple[Any, list[ColumnElement[Any]]]:
    """A query of what meets the tests, with its position in the order; joined with the `facts` where they are given."""
    base: FromClause
    if plan.driver is None:
        base, entity, known = facts, facts.c.id, None
    else:
        known = _driven(plan)
        base, entity = known, known.c.entity_id
    position = _position(plan, entity, known)
    where: list[ColumnElement[bool]] = []
    if plan.way[0] == "key" and plan.driver != ORDER:
        ordered = meta_values.alias("ordered")
        base = base.join(ordered, (ordered.c.entity_id == entity) & (ordered.c.key == bindparam("order_key")))
        position = [ordered.c.type, ordered.c.number, ordered.c.text, entity]
        if plan.way[1]:
            where.append(ordered.c.type == literal_column(str(plan.way[1])))
    if plan.driver is None:
        where.append(plan.kind.is_here(plan.kind.place))
    elif facts is not None:
        base = base.join(facts, facts.c.id == entity)
    if plan.way[0] == "fact":
        where.append(position[0].is_not(None))
    done = {plan.driver, *(plan.same if plan.driver == ORDER else ())}
    where += [
        expression(shape, f"c{place}", plan.kind, entity) for place, shape in enumerate(plan.tests) if place not in done
    ]
    if plan.after and not _bounded_inside(plan):
        where.append(_beyond(position, down=plan.down))
    query: Any = select(entity).select_from(base).where(*where)
    return query, position


def _first(plan: Plan, query: Any, position: list[ColumnElement[Any]]) -> Any:
    """The first rows of a query in the order, up to `limit`.

    What must be sorted is gathered whole before: for the sake of the limit PostgreSQL would rather walk everything in
    the order and test it, which is the walk that was in vain.
    """
    if plan.driver is not None and not _bounded_inside(plan):
        gathered = query.cte("gathered").prefix_with("MATERIALIZED", dialect="postgresql")
        query, position = select(gathered), [gathered.c[f"at_{place}"] for place in range(len(position))]
    return query.order_by(*_order(position, plan.down)).limit(bindparam("limit"))


def _named(position: list[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    return [column.label(f"at_{place}") for place, column in enumerate(position)]


def _driven(plan: Plan) -> Any:
    """The entries of the driver, as a subquery."""
    assert plan.driver is not None
    shape = None if plan.driver == ORDER else plan.tests[plan.driver]
    row = (_table(shape) if shape is not None else meta_values).alias("entries")
    query: Any
    if shape is None:
        query = select(row.c.entity_id, row.c.type, row.c.number, row.c.text)
        query = query.where(*_of_kind(plan.kind, row), row.c.key == bindparam("order_key"))
        for place in plan.same:
            query = query.where(*stretch(plan.tests[place], f"c{place}", row))
        if plan.way[1]:
            query = query.where(row.c.type == literal_column(str(plan.way[1])))
    else:
        query = select(row.c.entity_id).where(*_of_kind(plan.kind, row), *stretch(shape, f"c{plan.driver}", row))
    if _bounded_inside(plan):
        position = _position(plan, row.c.entity_id, row)
        if plan.after:
            query = query.where(_beyond(position, down=plan.down))
        if plan.width is not None:
            query = query.order_by(*_order(position, plan.down))
    if plan.width is not None:
        query = query.limit(literal_column(str(plan.width)))
    return query.subquery("driver")


def _bounded_inside(plan: Plan) -> bool:
    """Whether the driver itself has the order that is wanted."""
    if plan.driver is None:
        return False
    if plan.driver == ORDER:
        return True
    return plan.way[0] == "newest" and in_order_of_age(plan.tests[plan.driver])


def _position(plan: Plan, entity: ColumnElement[str], row: Any) -> list[ColumnElement[Any]]:
    if plan.way[0] == "fact":
        return [plan.kind.column(plan.way[1]), entity]
    if plan.way[0] == "key" and plan.driver == ORDER:
        return [row.c.type, row.c.number, row.c.text, entity]
    return [entity]


def _order(position: list[ColumnElement[Any]], down: bool) -> list[Any]:
    return [column.desc() if down else column.asc() for column in position]


def _beyond(position: list[ColumnElement[Any]], *, down: bool) -> ColumnElement[bool]:
    last: list[Any] = [bindparam(f"at_{place}", type_=column.type) for place, column in enumerate(position)]
    here: Any = tuple_(*position) if len(position) > 1 else position[0]
    there: Any = tuple_(*last) if len(last) > 1 else last[0]
    found: ColumnElement[bool] = here < there if down else here > there
    return found


def _table(shape: Shape) -> Any:
    return meta_tags if shape[0] == "tag" else meta_values


def _of_kind(kind: Kind, row: Any) -> tuple[ColumnElement[bool], ...]:
    return (kind.is_here(row.c.account_id), row.c.kind == bindparam("kind"))


def _allowed(plan: Plan) -> list[ColumnElement[bool]]:
    """The conditions on what the reader may see; what is the installation's goes by names of its own."""
    kind, resource = plan.kind, plan.kind.rows.c.resource
    holder: Any = {kind.holder: kind.place}
    own = conditions(plan.seen, kind.type, id=resource, **holder)
    if not kind.everywhere:
        return own
    whole = conditions(plan.seen, kind.type, id=resource, organization=literal(INSTALLATION), before=WHOLE)
    is_whole = kind.place == literal(INSTALLATION)
    return [or_(and_(is_whole, *whole), and_(not_(is_whole), *own))]
