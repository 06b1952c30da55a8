"""Making teams, and who is in them: users, and other teams with all of theirs."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, select, update

from dais.identity.commands.names import changed, check_name, hold, taken
from dais.identity.commands.roles import admin_roles_of_team, keeping_administrators, new_member, new_roles
from dais.identity.granting import require_to_be_let_in
from dais.identity.predefined import ADMIN, of_team
from dais.identity.queries.organizations import get_organization
from dais.identity.queries.roles import check_one, member_of
from dais.identity.queries.teams import get_team
from dais.identity.rules import require
from dais.identity.tables import roles, team_ancestors, team_teams, team_users, teams
from dais.identity.types import Actor, Team
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid
from dais.kit.ids import new_id

_insert = Statement(insert(teams), suffix="ON CONFLICT DO NOTHING")
_other = teams.alias("other")
_rename = Statement(
    update(teams)
    .where(
        teams.c.id == bindparam("team_id"),
        ~select(_other.c.id)
        .where(_other.c.organization_id == bindparam("in_organization"), _other.c.name == bindparam("new_name"))
        .exists(),
    )
    .values(name=bindparam("new_name"))
)
_remove = Statement(delete(teams).where(teams.c.id == bindparam("team_id")))
_remove_roles = Statement(delete(roles).where(roles.c.parent_id == bindparam("team_id")))
_add_user = Statement(insert(team_users), suffix="ON CONFLICT DO NOTHING")
_add_team = Statement(insert(team_teams), suffix="ON CONFLICT DO NOTHING")
_remove_user = Statement(
    delete(team_users).where(team_users.c.team_id == bindparam("team_id"), team_users.c.user_id == bindparam("user_id"))
)
_remove_team = Statement(
    delete(team_teams).where(
        team_teams.c.team_id == bindparam("team_id"), team_teams.c.member_id == bindparam("member_id")
    )
)
_is_inside = Statement(
    select(team_ancestors.c.team_id).where(
        team_ancestors.c.team_id == bindparam("team_id"), team_ancestors.c.ancestor_id == bindparam("ancestor_id")
    )
)
_edges = Statement(
    select(team_teams.c.member_id, team_teams.c.team_id)
    .join(teams, teams.c.id == team_teams.c.team_id)
    .where(teams.c.organization_id == bindparam("organization_id"))
)
_teams = Statement(select(teams.c.id).where(teams.c.organization_id == bindparam("organization_id")))
_forget_ancestors = Statement(
    delete(team_ancestors).where(
        team_ancestors.c.team_id.in_(select(teams.c.id).where(teams.c.organization_id == bindparam("organization_id")))
    )
)
_insert_ancestor = Statement(insert(team_ancestors))


def create_team(uow: UnitOfWork, actor: Actor, name: str, *, organization_id: str | None = None) -> Team:
    """Make a team of an organization (by default the actor's), whose administrator the actor is.

    Raises Conflict `team-exists`.
    """
    check_name(name, "a team")
    organization_id = organization_id or actor.organization_id
    require(uow, actor, "team:new", organization_id=organization_id)
    team_id = new_id()
    made = uow.run(_insert, id=team_id, organization_id=organization_id, name=name, created_at=uow.now)
    if not made:
        raise taken("a team", f"{get_organization(uow, organization_id).name}.{name}")
    uow.run(_insert_ancestor, team_id=team_id, ancestor_id=team_id)
    made_roles = new_roles(uow, organization_id, "team", team_id, of_team(organization_id, team_id))
    new_member(uow, made_roles[ADMIN], actor.id)
    changed(uow, Event("team.new", "team", team_id, None, {"name": name}))
    return get_team(uow, team_id)


def rename_team(uow: UnitOfWork, actor: Actor, team: Team, name: str) -> Team:
    """Give a team another name. Raises Conflict `team-exists`."""
    check_name(name, "a team")
    _require(uow, actor, "team:set", team)
    if name != team.name and not uow.run(_rename, team_id=team.id, in_organization=team.organization_id, new_name=name):
        raise taken("a team", f"{team.organization}.{name}")
    changed(uow, Event("team.changed", "team", team.id, None, {"name": name}))
    return get_team(uow, team.id)


def remove_team(uow: UnitOfWork, actor: Actor, team: Team) -> None:
    """Remove a team with its roles; what its members had through it they have no more.

    Raises Conflict `last-administrator`.
    """
    _require(uow, actor, "team:rm", team)
    with keeping_administrators(uow, team.organization_id, admin_roles_of_team(uow, team.id)):
        uow.run(_remove_roles, team_id=team.id)
        uow.run(_remove, team_id=team.id)
        _find_ancestors(uow, team.organization_id)
        changed(uow, Event("team.removed", "team", team.id, None, {"name": team.name}))


def add_team_member(
    uow: UnitOfWork, actor: Actor, team: Team, *, user_id: str | None = None, team_id: str | None = None
) -> None:
    """Take a user, or another team with all of its members, into a team. Adding twice is the same as once.

    Raises Forbidden `beyond-own` when the team may do more than the actor, Conflict `team-cycle`, Invalid
    `foreign-team`.
    """
    _require(uow, actor, "team:set", team)
    require_to_be_let_in(uow, actor, "team", team.id)
    member = member_of(uow, actor, user_id, team_id)
    if user_id is not None:
        uow.run(_add_user, team_id=team.id, user_id=user_id, created_at=uow.now)
    else:
        joining = get_team(uow, str(team_id))
        if joining.organization_id != team.organization_id:
            raise Invalid(
                f"{joining.full_name} is of another organization than {team.full_name}: add its users one by one",
                code="foreign-team",
            )
        hold(uow, team.organization_id)
        if uow.one(_is_inside, team_id=team.id, ancestor_id=joining.id) is not None:
            raise Conflict(
                f"{team.full_name} is in {joining.full_name} already (or is the same): a team cannot be inside itself",
                code="team-cycle",
            )
        uow.run(_add_team, team_id=team.id, member_id=joining.id, created_at=uow.now)
        _find_ancestors(uow, team.organization_id)
    changed(uow, Event("team.member-added", "team", team.id, None, member))


def remove_team_member(
    uow: UnitOfWork, actor: Actor, team: Team, *, user_id: str | None = None, team_id: str | None = None
) -> None:
    """End a membership; one that is not there stays so. Raises Conflict `last-administrator`."""
    check_one(user_id, team_id)
    _require(uow, actor, "team:set", team)
    with keeping_administrators(uow, team.organization_id, admin_roles_of_team(uow, team.id)):
        if user_id is not None:
            uow.run(_remove_user, team_id=team.id, user_id=user_id)
        else:
            uow.run(_remove_team, team_id=team.id, member_id=team_id)
            _find_ancestors(uow, team.organization_id)
        changed(uow, Event("team.member-removed", "team", team.id, None, {"user_id": user_id, "team_id": team_id}))


def _require(uow: UnitOfWork, actor: Actor, action: str, team: Team) -> None:
    require(uow, actor, action, organization_id=team.organization_id, resource_type="team", resource_id=team.id)


def _find_ancestors(uow: UnitOfWork, organization_id: str) -> None:
    """Write down anew which team is in which, through whatever others; there are no cycles."""
    above: dict[str, list[str]] = {}
    for edge in uow.all(_edges, organization_id=organization_id):
        above.setdefault(edge.member_id, []).append(edge.team_id)
    rows = []
    for team in uow.all(_teams, organization_id=organization_id):
        found, waiting = {team.id}, [team.id]
        while waiting:
            for parent in above.get(waiting.pop(), ()):
                if parent not in found:
                    found.add(parent)
                    waiting.append(parent)
        rows += [{"team_id": team.id, "ancestor_id": ancestor} for ancestor in sorted(found)]
    uow.run(_forget_ancestors, organization_id=organization_id)
    uow.many(_insert_ancestor, rows)
