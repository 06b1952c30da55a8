"""Through what somebody has a rule: the way from a user, by teams and teams of teams, to the role or team it is on."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select

from dais.identity.tables import (
    accounts,
    organizations,
    role_teams,
    role_users,
    roles,
    team_ancestors,
    team_teams,
    team_users,
    teams,
    users,
)
from dais.identity.types import Link
from dais.kit.database import Statement, UnitOfWork, in_list

Names = dict[tuple[str, str], Link]
"""Links by the kind and the id of users, teams and roles."""

_user_teams = Statement(select(team_users.c.team_id).where(team_users.c.user_id == bindparam("id")))
_user_roles = Statement(select(role_users.c.role_id).where(role_users.c.user_id == bindparam("id")))
_above = Statement(select(team_ancestors.c.ancestor_id).where(in_list(team_ancestors.c.team_id, "ids")).distinct())
_edges = Statement(select(team_teams.c.member_id, team_teams.c.team_id).where(in_list(team_teams.c.member_id, "ids")))
_team_roles = Statement(select(role_teams.c.team_id, role_teams.c.role_id).where(in_list(role_teams.c.team_id, "ids")))

_in = organizations.c.name.label("organization")
_names = {
    "user": Statement(
        select(users.c.id, users.c.name, _in)
        .join(organizations, organizations.c.id == users.c.organization_id)
        .where(in_list(users.c.id, "ids"))
    ),
    "team": Statement(
        select(teams.c.id, teams.c.name, _in)
        .join(organizations, organizations.c.id == teams.c.organization_id)
        .where(in_list(teams.c.id, "ids"))
    ),
    "role": Statement(
        select(roles.c.id, roles.c.name, _in, accounts.c.full_name.label("account"), teams.c.name.label("team"))
        .join(organizations, organizations.c.id == roles.c.organization_id)
        .outerjoin(accounts, accounts.c.id == roles.c.parent_id)
        .outerjoin(teams, teams.c.id == roles.c.parent_id)
        .where(in_list(roles.c.id, "ids"))
    ),
}


def subject_names(uow: UnitOfWork, subjects: Iterable[tuple[str, str]]) -> Names:
    """Users, teams and roles with their full names."""
    ids: dict[str, list[str]] = {}
    for kind, subject_id in subjects:
        ids.setdefault(kind, []).append(subject_id)
    found: Names = {}
    for kind, wanted in ids.items():
        for row in uow.all(_names[kind], ids=wanted):
            parent = row.organization
            if kind == "role":
                parent = row.account or (f"{row.organization}.{row.team}" if row.team else row.organization)
            found[kind, row.id] = Link(type=kind, id=row.id, name=f"{parent}.{row.name}")
    return found


class Through:
    """The shortest ways from one user, team or role to all that it inherits from."""

    def __init__(self, uow: UnitOfWork, kind: str, subject_id: str) -> None:
        start = (kind, subject_id)
        self._before: dict[tuple[str, str], tuple[str, str] | None] = {start: None}
        next_up: dict[tuple[str, str], list[tuple[str, str]]] = {}
        first = [subject_id] if kind == "team" else []
        if kind == "user":
            first = [row.team_id for row in uow.all(_user_teams, id=subject_id)]
            next_up[start] = [("team", one) for one in first]
            next_up[start] += [("role", row.role_id) for row in uow.all(_user_roles, id=subject_id)]
        every = sorted({row.ancestor_id for row in uow.all(_above, ids=first)}) if first else []
        if every:
            for row in uow.all(_team_roles, ids=every):
                next_up.setdefault(("team", row.team_id), []).append(("role", row.role_id))
            for row in uow.all(_edges, ids=every):
                next_up.setdefault(("team", row.member_id), []).append(("team", row.team_id))
        waiting = [start]
        for one in waiting:
            for other in sorted(next_up.get(one, ())):
                if other not in self._before:
                    self._before[other] = one
                    waiting.append(other)
        self._names = subject_names(uow, self._before)

    def to(self, subject: tuple[str, str]) -> tuple[Link, ...]:
        """The way to whom a policy is attached to, from the start on."""
        way: list[Link] = []
        at: tuple[str, str] | None = subject
        while at is not None:
            way.append(self._names.get(at) or Link(type=at[0], id=at[1], name=at[1]))
            at = self._before.get(at)
        return tuple(reversed(way))
