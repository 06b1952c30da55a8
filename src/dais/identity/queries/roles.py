"""Roles, and who can assume them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sqlalchemy import and_, bindparam, or_, select, union_all

from dais.identity.queries.accounts import get_account, resolve_account
from dais.identity.queries.members import members_statement, page_of
from dais.identity.queries.names import no_such
from dais.identity.queries.organizations import get_organization, resolve_organization
from dais.identity.queries.teams import get_team, resolve_team
from dais.identity.queries.users import get_user
from dais.identity.rules import may, require_on, resource_at, visible
from dais.identity.seeing import conditions
from dais.identity.tables import accounts, organizations, role_teams, role_users, roles, teams
from dais.identity.types import Actor, Member, Role
from dais.identity.urns import Resource
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Invalid, NotFound
from dais.kit.ids import is_id
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor

_resolvers: dict[str, Callable[..., Any]] = {
    "organization": resolve_organization,
    "account": resolve_account,
    "team": resolve_team,
}
PARENTS = tuple(_resolvers)
"""The types of what a role can be attached to."""

_roles = (
    select(
        roles,
        organizations.c.name.label("organization"),
        accounts.c.full_name.label("account"),
        teams.c.name.label("team"),
    )
    .join(organizations, organizations.c.id == roles.c.organization_id)
    .outerjoin(accounts, accounts.c.id == roles.c.parent_id)
    .outerjoin(teams, teams.c.id == roles.c.parent_id)
)
_by_id = Statement(_roles.where(roles.c.id == bindparam("id")))
_called = union_all(
    select(organizations.c.id).where(organizations.c.name == bindparam("full_name")),
    select(accounts.c.id).where(accounts.c.full_name == bindparam("full_name")),
    select(teams.c.id)
    .join(organizations, organizations.c.id == teams.c.organization_id)
    .where(organizations.c.name == bindparam("organization"), teams.c.name == bindparam("team")),
)
_by_name = Statement(_roles.where(roles.c.parent_id.in_(_called), roles.c.name == bindparam("name")))
_members = members_statement(role_users, role_teams, "role_id", "team_id")


def get_role(uow: UnitOfWork, role_id: str) -> Role:
    """The role, whoever asks. Raises NotFound `no-such-role`."""
    row = uow.one(_by_id, id=role_id)
    if row is None:
        raise no_such("role", role_id)
    return _role(row)


def resolve_role(uow: UnitOfWork, actor: Actor, name: str, parent_type: str | None = None) -> Role:
    """The role that an id or a full name means to the actor: `org.role`, `org.account.role` or `org.team.role`.

    The name of the actor's own organization may be left out. Raises NotFound `no-such-role`, also for a role that the
    actor may not see, or of another type of parent; Invalid `ambiguous` where an account and a team have one name.
    """

    def seen(rows: Iterable[Row]) -> list[Role]:
        found = [_role(row) for row in rows if parent_type in (None, row.parent_type)]
        return [role for role in found if may(uow, actor, "role:get", resource_of(uow, role))]

    if is_id(name):
        found = seen(uow.all(_by_id, id=name))
        if found:
            return found[0]
        raise no_such("role", name)
    parent, _, short = name.rpartition(".")
    full_names = [parent, f"{actor.organization}.{parent}"] if parent else [actor.organization]
    for full_name in full_names:
        organization, _, team = full_name.rpartition(".")
        rows = uow.all(_by_name, name=short, full_name=full_name, organization=organization, team=team)
        found = seen(rows)
        if len(found) > 1:
            raise _ambiguous(name, "`dais account role` and `dais team role` mean one of them, and so do ids")
        if found:
            return found[0]
    raise NotFound(
        f"there is no role {name[:200]!r}; it is named like acme.admin, acme.lab.admin (of an account) or "
        "acme.team.admin; `dais organization role ls`, `dais account role ls` and `dais team role ls` list them",
        code="no-such-role",
        role=name[:200],
    )


def resolve_parent(uow: UnitOfWork, actor: Actor, name: str | None, parent_type: str | None = None) -> tuple[str, str]:
    """The type and the id of what a role can be attached to: the organization, account or team of this name or id.

    Without a name it is the actor's own organization, or account. Raises Invalid `bad-parent`, `ambiguous`, NotFound.
    """
    if parent_type is not None:
        if parent_type not in _resolvers or (parent_type == "team" and not name):
            raise Invalid(f"{parent_type!r} is not one of {', '.join(PARENTS)}, or needs a name", code="bad-parent")
        return parent_type, _resolvers[parent_type](uow, actor, name or None).id
    found = dict(_parents(uow, actor, name or ""))
    if "account" in found and "team" in found:
        raise _ambiguous(str(name), "say which: --parent-type account, or team")
    if not found:
        raise NotFound(
            f"there is no organization, account or team {name!r}; `dais organization ls`, `dais account ls` and "
            "`dais team ls` list those that you may see",
            code="no-such-parent",
            parent=name,
        )
    return next(iter(found.items()))


def list_roles(
    uow: UnitOfWork,
    actor: Actor,
    *,
    parent_type: str | None = None,
    parent_id: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Role]:
    """The roles that the actor may see, by name: all, those of one type of parent, or those of one parent.

    Raises Invalid `bad-limit`, `bad-cursor`.
    """
    check_limit(limit)
    after = decode_cursor(cursor, tuple[str, str]) if cursor is not None else ("", "")
    values: dict[str, Any] = {}
    for kind in PARENTS:
        seen = visible(uow, actor, "role:list", holder=None if kind == "organization" else kind)
        values |= seen.named(f"{kind}_")
    if parent_type is not None:
        values["parent_type"] = parent_type
    if parent_id is not None:
        values["parent_id"] = parent_id
    rows = uow.all(_page(frozenset(values)), after=after[0], after_id=after[1], limit=limit + 1, **values)
    items = [_role(row) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].name, items[-1].id) if len(rows) > limit else None)


def role_members(
    uow: UnitOfWork, actor: Actor, role: Role, *, limit: int = 100, cursor: str | None = None
) -> Page[Member]:
    """Who can assume the role directly, by name. Raises Invalid `bad-limit`, `bad-cursor`."""
    require_on(uow, actor, "role:get", resource_of(uow, role))
    return page_of(uow, _members, role.id, limit, cursor)


def resource_of(uow: UnitOfWork, role: Role) -> Resource:
    """The role, for permissions."""
    return role_resource(uow, role.parent_type, role.parent_id, role.id)


def role_resource(
    uow: UnitOfWork, parent_type: str, parent_id: str, role_id: str = "", *, new: bool = False
) -> Resource:
    """A role of a parent, for permissions. Raises NotFound when there is no such parent."""
    if parent_type == "account":
        return resource_at(uow, "role", role_id, account_id=get_account(uow, parent_id).id, new=new)
    if parent_type == "team":
        team = get_team(uow, parent_id)
        holder = ("team", team.id)
        return resource_at(uow, "role", role_id, organization_id=team.organization_id, holder=holder, new=new)
    if parent_type != "organization":
        raise Invalid(f"{parent_type!r} is not one of {', '.join(PARENTS)}", code="bad-parent")
    return resource_at(uow, "role", role_id, organization_id=get_organization(uow, parent_id).id, new=new)


def member_of(uow: UnitOfWork, actor: Actor, user_id: str | None, team_id: str | None) -> dict[str, str]:
    """The one of both that is given, which must be there and, unless the installation says so, of the actor's
    organization. Raises Invalid `one-member`, NotFound."""
    check_one(user_id, team_id)
    found = get_user(uow, user_id) if user_id is not None else get_team(uow, str(team_id))
    if found.organization_id != actor.organization_id and not actor.administrator:
        raise no_such("user" if user_id is not None else "team", found.id)
    return {"user_id": found.id} if user_id is not None else {"team_id": found.id}


def _ambiguous(name: str, remedy: str) -> Invalid:
    """Whoever may rename themselves can take a team's name, and must not get what was meant for it."""
    return Invalid(
        f"{name[:200]!r} is one of an account and one of a team; {remedy}", code="ambiguous", name=name[:200]
    )


def check_one(user_id: str | None, team_id: str | None) -> None:
    """Raise Invalid `one-member` unless one of both is given."""
    if (user_id is None) == (team_id is None):
        raise Invalid("give one member: --user NAME or --team NAME", code="one-member")


def _parents(uow: UnitOfWork, actor: Actor, name: str) -> Iterator[tuple[str, str]]:
    """The types and ids of what a role's parent of this name can be, the likeliest first."""
    if not name:
        yield "organization", actor.organization_id
        return
    for kind in PARENTS:
        try:
            yield kind, _resolvers[kind](uow, actor, name).id
        except NotFound:
            continue


@functools.cache
def _page(shape: frozenset[str]) -> Statement:
    after: Any = (roles.c.name > bindparam("after")) | (
        (roles.c.name == bindparam("after")) & (roles.c.id > bindparam("after_id"))
    )
    places: dict[str, dict[str, Any]] = {
        "organization": {"organization": roles.c.organization_id},
        "account": {"account": roles.c.parent_id},
        "team": {"organization": roles.c.organization_id, "holder": ("team", roles.c.parent_id)},
    }
    seen = []
    for kind, place in places.items():
        allowed = conditions(shape, "role", id=roles.c.id, before=f"{kind}_", **place)
        seen.append(and_(roles.c.parent_type == kind, *allowed))
    query = _roles.where(after, or_(*seen))
    for name in ("parent_type", "parent_id"):
        if name in shape:
            query = query.where(roles.c[name] == bindparam(name))
    return Statement(query.order_by(roles.c.name, roles.c.id).limit(bindparam("limit")))


def _role(row: Row) -> Role:
    parent = {"account": row.account, "team": f"{row.organization}.{row.team}"}.get(row.parent_type, row.organization)
    return Role(
        id=row.id,
        name=row.name,
        full_name=f"{parent}.{row.name}",
        organization_id=row.organization_id,
        parent_type=row.parent_type,
        parent_id=row.parent_id,
        predefined=bool(row.predefined),
    )
