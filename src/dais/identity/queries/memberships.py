"""What a user or a team is a member of."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from dais.identity.queries.roles import get_role, resource_of
from dais.identity.queries.teams import get_team, may_get
from dais.identity.rules import may
from dais.identity.tables import role_teams, role_users, team_teams, team_users
from dais.identity.types import Actor, Role, Team
from dais.kit.database import Statement, UnitOfWork

_roles = {
    "user": Statement(select(role_users.c.role_id.label("id")).where(role_users.c.user_id == bindparam("member_id"))),
    "team": Statement(select(role_teams.c.role_id.label("id")).where(role_teams.c.team_id == bindparam("member_id"))),
}
_teams = {
    "user": Statement(select(team_users.c.team_id.label("id")).where(team_users.c.user_id == bindparam("member_id"))),
    "team": Statement(select(team_teams.c.team_id.label("id")).where(team_teams.c.member_id == bindparam("member_id"))),
}


def roles_of(uow: UnitOfWork, actor: Actor, kind: str, member_id: str) -> list[Role]:
    """The roles that a `user` or `team` can assume directly and that the actor may see, by full name."""
    found = [get_role(uow, row.id) for row in uow.all(_roles[kind], member_id=member_id)]
    seen = [role for role in found if may(uow, actor, "role:get", resource_of(uow, role))]
    return sorted(seen, key=lambda role: role.full_name)


def teams_of(uow: UnitOfWork, actor: Actor, kind: str, member_id: str) -> list[Team]:
    """The teams that a `user` or `team` is in directly and that the actor may see, by full name."""
    found = [get_team(uow, row.id) for row in uow.all(_teams[kind], member_id=member_id)]
    return sorted((team for team in found if may_get(uow, actor, team)), key=lambda team: team.full_name)
