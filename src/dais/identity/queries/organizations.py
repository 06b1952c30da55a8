"""Organizations, by ids and names."""

from __future__ import annotations

import functools

from sqlalchemy import bindparam, select

from dais.identity.queries.names import no_such
from dais.identity.rules import may, resource_at, visible
from dais.identity.seeing import conditions
from dais.identity.tables import organizations
from dais.identity.types import Actor, Organization
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.ids import is_id
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor

_by_id = Statement(select(organizations).where(organizations.c.id == bindparam("id")))
_by_name = Statement(select(organizations).where(organizations.c.name == bindparam("name")))


def get_organization(uow: UnitOfWork, organization_id: str) -> Organization:
    """The organization, whoever asks. Raises NotFound `no-such-organization`."""
    row = uow.one(_by_id, id=organization_id)
    if row is None:
        raise no_such("organization", organization_id)
    return _organization(row)


def resolve_organization(uow: UnitOfWork, actor: Actor, name: str | None) -> Organization:
    """The organization of an id or a name; None means the actor's. Raises NotFound `no-such-organization`."""
    if name is None:
        return get_organization(uow, actor.organization_id)
    row = uow.one(_by_id, id=name) if is_id(name) else uow.one(_by_name, name=name)
    if row is None or not may(uow, actor, "organization:get", resource_at(uow, "organization", organization_id=row.id)):
        raise no_such("organization", name)
    return _organization(row)


def list_organizations(
    uow: UnitOfWork, actor: Actor, *, limit: int = 100, cursor: str | None = None
) -> Page[Organization]:
    """The organizations that the actor may see, by name. Raises Invalid `bad-limit`, `bad-cursor`."""
    check_limit(limit)
    (after,) = decode_cursor(cursor, tuple[str]) if cursor is not None else ("",)
    seen = visible(uow, actor, "organization:list", holder=None)
    rows = uow.all(_page(seen.shape), after=after, limit=limit + 1, **seen.values)
    items = [_organization(row) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].name) if len(rows) > limit else None)


@functools.cache
def _page(shape: frozenset[str]) -> Statement:
    seen = conditions(shape, "organization", id=organizations.c.id, organization=organizations.c.id)
    return Statement(
        select(organizations)
        .where(organizations.c.name > bindparam("after"), *seen)
        .order_by(organizations.c.name)
        .limit(bindparam("limit"))
    )


def _organization(row: Row) -> Organization:
    return Organization(id=row.id, name=row.name, mfa_required=bool(row.mfa_required), created_at=row.created_at)
