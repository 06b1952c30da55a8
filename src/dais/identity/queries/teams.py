"""Teams, and who is in them."""

from __future__ import annotations

import functools
from typing import Any

from sqlalchemy import bindparam, select

from dais.identity.queries.members import members_statement, page_of
from dais.identity.queries.names import nearest, no_such
from dais.identity.rules import may, require, resource_at, visible
from dais.identity.seeing import conditions
from dais.identity.tables import organizations, team_teams, team_users, teams
from dais.identity.types import Actor, Member, Team
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.ids import is_id
from dais.kit.paging import Page, check_limit, decode_cursor, encode_cursor

_columns = (teams.c.id, teams.c.name, teams.c.organization_id, organizations.c.name.label("organization"))
_teams = select(*_columns).join(organizations, organizations.c.id == teams.c.organization_id)
_by_id = Statement(_teams.where(teams.c.id == bindparam("id")))
_by_name = Statement(_teams.where(organizations.c.name == bindparam("organization"), teams.c.name == bindparam("name")))
_names = Statement(select(teams.c.name).where(teams.c.organization_id == bindparam("organization_id")).limit(1000))
_members = members_statement(team_users, team_teams, "team_id", "member_id")


def get_team(uow: UnitOfWork, team_id: str) -> Team:
    """The team, whoever asks. Raises NotFound `no-such-team`."""
    row = uow.one(_by_id, id=team_id)
    if row is None:
        raise no_such("team", team_id)
    return _team(row)


def resolve_team(uow: UnitOfWork, actor: Actor, name: str) -> Team:
    """The team that an id, a full name `org.team` or a name in the actor's organization means to the actor.

    Raises NotFound `no-such-team`, with the nearest name, also for a team that the actor may not see.
    """
    if is_id(name):
        row = uow.one(_by_id, id=name)
    else:
        organization, _, short = name.rpartition(".")
        row = uow.one(_by_name, organization=organization or actor.organization, name=short)
    if row is not None:
        found = _team(row)
        if may_get(uow, actor, found):
            return found
    raise no_such("team", name, nearest(name, uow.all(_names, organization_id=actor.organization_id)))


def list_teams(uow: UnitOfWork, actor: Actor, *, limit: int = 100, cursor: str | None = None) -> Page[Team]:
    """The teams that the actor may see, by name. Raises Invalid `bad-limit`, `bad-cursor`."""
    check_limit(limit)
    after = decode_cursor(cursor, tuple[str, str]) if cursor is not None else ("", "")
    seen = visible(uow, actor, "team:list", holder=None)
    rows = uow.all(_page(seen.shape), after=after[0], after_id=after[1], limit=limit + 1, **seen.values)
    items = [_team(row) for row in rows[:limit]]
    return Page(items, encode_cursor(items[-1].name, items[-1].id) if len(rows) > limit else None)


def team_members(
    uow: UnitOfWork, actor: Actor, team: Team, *, limit: int = 100, cursor: str | None = None
) -> Page[Member]:
    """Who is in the team directly, by name. Raises Invalid `bad-limit`, `bad-cursor`."""
    require(uow, actor, "team:get", organization_id=team.organization_id, resource_id=team.id)
    return page_of(uow, _members, team.id, limit, cursor)


def may_get(uow: UnitOfWork, actor: Actor, team: Team) -> bool:
    """Whether the actor may see the team."""
    return may(uow, actor, "team:get", resource_at(uow, "team", team.id, organization_id=team.organization_id))


@functools.cache
def _page(shape: frozenset[str]) -> Statement:
    after: Any = (teams.c.name > bindparam("after")) | (
        (teams.c.name == bindparam("after")) & (teams.c.id > bindparam("after_id"))
    )
    seen = conditions(shape, "team", id=teams.c.id, organization=teams.c.organization_id)
    return Statement(_teams.where(after, *seen).order_by(teams.c.name, teams.c.id).limit(bindparam("limit")))


def _team(row: Row) -> Team:
    return Team(
        id=row.id,
        name=row.name,
        full_name=f"{row.organization}.{row.name}",
        organization_id=row.organization_id,
        organization=row.organization,
    )
