"""Users, by ids and names."""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any

from sqlalchemy import bindparam, select

from dais.identity.queries.names import nearest, no_such
from dais.identity.rules import may, resource_at, visible
from dais.identity.seeing import conditions
from dais.identity.tables import organizations, users
from dais.identity.topics import CHANGED
from dais.identity.types import Actor, User
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.kit.ids import is_id
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor

_users = select(users, organizations.c.name.label("organization")).join(
    organizations, organizations.c.id == users.c.organization_id
)
_by_id = Statement(_users.where(users.c.id == bindparam("id")))
_by_email = Statement(_users.where(users.c.email == bindparam("email")))
_by_name = Statement(_users.where(organizations.c.name == bindparam("organization"), users.c.name == bindparam("name")))
_of_name = Statement(select(users.c.id).where(users.c.name == bindparam("name")))
_names_by_id = Statement(select(users.c.id, users.c.name).where(in_list(users.c.id, "ids")))
_names = Statement(select(users.c.name).where(users.c.organization_id == bindparam("organization_id")).limit(1000))


def get_user(uow: UnitOfWork, user_id: str) -> User:
    """The user of an id, whoever asks. Raises NotFound `no-such-user`."""
    row = uow.one(_by_id, id=user_id)
    if row is None:
        raise no_such("user", user_id)
    return _user(row)


def find_by_email(uow: UnitOfWork, email: str) -> User | None:
    """Whose address this is, whoever asks; None where it is nobody's."""
    row = uow.one(_by_email, email=email)
    return None if row is None else _user(row)


def resolve_user(uow: UnitOfWork, actor: Actor, name: str | None) -> User:
    """The user that an id, an e-mail address, a full name `org.user` or a name in the actor's organization means.

    None means the actor. Raises NotFound `no-such-user`, with the nearest name, also for users the actor may not see.
    """
    if name is None:
        return get_user(uow, actor.id)
    if is_id(name):
        row = uow.one(_by_id, id=name)
    elif "@" in name:
        row = uow.one(_by_email, email=name.strip().lower())
    else:
        organization, _, short = name.rpartition(".")
        row = uow.one(_by_name, organization=organization or actor.organization, name=short)
    if row is not None and may(
        uow, actor, "user:get", resource_at(uow, "user", row.id, organization_id=row.organization_id)
    ):
        return _user(row)
    near = nearest(name, uow.all(_names, organization_id=actor.organization_id)) if _sees_all(uow, actor) else None
    raise no_such("user", name, near)


def list_users(
    uow: UnitOfWork,
    actor: Actor,
    *,
    organization_id: str | None = None,
    text: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[User]:
    """The users that the actor may see, by name; those of one organization, or with a text in name or address.

    Raises Invalid `bad-limit`, `bad-cursor`.
    """
    check_limit(limit)
    after = decode_cursor(cursor, tuple[str, str]) if cursor is not None else ("", "")
    values: dict[str, Any] = dict(visible(uow, actor, "user:list", holder=None).values)
    if organization_id is not None:
        values["in_organization"] = organization_id
    if text is not None:
        values["text"] = text.lower()[:200].replace("/", "//").replace("%", "/%").replace("_", "/_")
    rows = uow.all(_page(frozenset(values)), after=after[0], after_id=after[1], limit=limit + 1, **values)
    items = [_user(row) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].name, items[-1].id) if len(rows) > limit else None)


def user_names(uow: UnitOfWork, user_ids: Collection[str]) -> dict[str, str]:
    """The names of users by id; ids of nobody are left out."""
    if len(user_ids) == 1:  # who owns one job: asked for with each
        names = uow.remembered(CHANGED, ("name", *user_ids), lambda: _names_of(uow, user_ids))
        return dict(names)
    return _names_of(uow, user_ids) if user_ids else {}


def _names_of(uow: UnitOfWork, user_ids: Collection[str]) -> dict[str, str]:
    return {row.id: row.name for row in uow.all(_names_by_id, ids=list(user_ids))}


def user_ids(uow: UnitOfWork, name: str) -> list[str]:
    """The ids of the users of a name, one for each organization that has one."""
    return [row.id for row in uow.all(_of_name, name=name)]


def _sees_all(uow: UnitOfWork, actor: Actor) -> bool:
    return may(uow, actor, "user:list", resource_at(uow, "user", organization_id=actor.organization_id))


@functools.cache
def _page(shape: frozenset[str]) -> Statement:
    after: Any = (users.c.name > bindparam("after")) | (
        (users.c.name == bindparam("after")) & (users.c.id > bindparam("after_id"))
    )
    query = _users.where(after, *conditions(shape, "user", id=users.c.id, organization=users.c.organization_id))
    if "in_organization" in shape:
        query = query.where(users.c.organization_id == bindparam("in_organization"))
    if "text" in shape:
        text: Any = bindparam("text")
        query = query.where(users.c.name.contains(text, escape="/") | users.c.email.contains(text, escape="/"))
    return Statement(query.order_by(users.c.name, users.c.id).limit(bindparam("limit")))


def _user(row: Row) -> User:
    return User(
        id=row.id,
        number=row.number,
        name=row.name,
        organization_id=row.organization_id,
        organization=row.organization,
        account_id=row.account_id,
        administrator=row.administrator_at is not None,
        email=row.email,
        full_name=row.full_name,
        disabled=row.disabled_at is not None,
        created_at=row.created_at,
    )
