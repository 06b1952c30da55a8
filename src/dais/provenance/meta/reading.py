"""Reading what is known of entities, and sweeping what is known of those that are gone."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, literal_column, select

from dais.identity import INSTALLATION, Actor, get_account, get_organization, user_names
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.errors import Invalid
from dais.provenance.meta.tables import meta_tags, meta_values
from dais.provenance.meta.types import Described, Kind
from dais.provenance.meta.values import shown_value
from dais.wire.meta import MAX_REFS, Moment

_TAG = 0
"""The type by which tags stand among values."""

_values = select(
    meta_values.c.entity_id, meta_values.c.key, meta_values.c.type, meta_values.c.number, meta_values.c.text
).where(in_list(meta_values.c.entity_id, "ids"))
_tags = select(
    meta_tags.c.entity_id,
    meta_tags.c.tag,
    literal_column(str(_TAG)),
    literal_column("0.0"),
    literal_column("''"),
).where(in_list(meta_tags.c.entity_id, "ids"))
_known = Statement(_values.union_all(_tags))
_tables = (meta_values, meta_tags)
_after = tuple(
    Statement(
        select(table.c.entity_id, table.c.kind)
        .where(table.c.entity_id > bindparam("after"))
        .order_by(table.c.entity_id)
        .limit(bindparam("limit"))
    )
    for table in _tables
)
_delete = tuple(Statement(delete(table).where(in_list(table.c.entity_id, "ids"))) for table in _tables)


@functools.cache
def _rows(kind: Kind) -> Statement:
    return Statement(select(kind.rows).where(in_list(kind.rows.c.id, "ids")))


def get_meta(
    uow: UnitOfWork, actor: Actor, kind: Kind, refs: Sequence[str], *, account: str | None = None
) -> list[Described]:
    """All that is known of some entities, in order. Raises NotFound and Forbidden (`<type>:get`) for the first."""
    if not 1 <= len(refs) <= MAX_REFS:
        raise Invalid(f"ask for 1 to {MAX_REFS:,} at once, not for {len(refs):,}", code="bad-refs")
    ids = [kind.find(uow, actor, ref, account, f"{kind.type}:get").id for ref in refs]
    rows = {row.id: row for row in uow.all(_rows(kind), ids=list(set(ids)))}
    return described(uow, actor, kind, [rows[one] for one in ids if one in rows])


def described(uow: UnitOfWork, actor: Actor, kind: Kind, rows: Sequence[Row]) -> list[Described]:
    """Rows of a kind with their values and tags, for `actor`, who may see them."""
    if not rows:
        return []
    values: dict[str, dict[str, Any]] = {}
    tags: dict[str, list[str]] = {}
    for row in uow.all(_known, ids=[row.id for row in rows]):
        if row.type == _TAG:
            tags.setdefault(row.entity_id, []).append(row.key)
        else:
            values.setdefault(row.entity_id, {})[row.key] = shown_value(row.type, row.number, row.text)
    others = {row.created_by for row in rows} - {actor.id}
    people = {actor.id: actor.name} | (user_names(uow, others) if others else {})
    places = {getattr(row, kind.place.name) for row in rows}
    if kind.holder == "account":
        named = {one: one if one == INSTALLATION else get_account(uow, one).full_name for one in places}
    else:
        named = {one: get_organization(uow, one).name for one in places}
    return [
        Described(
            kind=kind.name,
            id=row.id,
            ref=row.ref,
            account=named[getattr(row, kind.place.name)],
            created_by=people.get(row.created_by, ""),
            created_at=row.created_at,
            system=_system(kind, row),
            values=dict(sorted(values.get(row.id, {}).items())),
            tags=tuple(sorted(tags.get(row.id, ()))),
        )
        for row in rows
    ]


def sweep_meta(uow: UnitOfWork, kinds: Sequence[Kind], after: str, *, limit: int = 1000) -> str | None:
    """Remove what is known of entities that are gone, of the next `limit` rows; where to go on, None: all was seen."""
    by_name = {kind.name: kind for kind in kinds}
    ends: list[str] = []
    for read, remove in zip(_after, _delete, strict=True):
        rows = uow.all(read, after=after, limit=limit)
        if len(rows) == limit:
            ends.append(rows[-1].entity_id)
        for name in {row.kind for row in rows} & by_name.keys():
            ids = {row.entity_id for row in rows if row.kind == name}
            there = {row.id for row in uow.all(_rows(by_name[name]), ids=list(ids))}
            if gone := sorted(ids - there):
                uow.run(remove, ids=gone)
    return min(ends, default=None)


def forget_meta(uow: UnitOfWork, entity_id: str) -> None:
    """Remove all that is known of an entity that goes, where another may get its id."""
    for remove in _delete:
        uow.run(remove, ids=[entity_id])


def _system(kind: Kind, row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {"__type__": kind.name}
    for key, type_ in kind.facts.items():
        value = getattr(row, "ref" if key == "_id" else key.strip("_"))
        if value is not None:
            found[key] = Moment(to_rfc3339(value)) if type_ == "instant" else value
    return found
