"""Making roles, and who may assume them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import bindparam, delete, func, insert, or_, select, union, update

from dais.identity.commands.names import changed, check_name, hold, taken
from dais.identity.granting import require_to_be_let_in
from dais.identity.predefined import ADMIN
from dais.identity.queries.roles import check_one, get_role, member_of, resource_of, role_resource
from dais.identity.queries.teams import get_team
from dais.identity.rules import require_on
from dais.identity.tables import (
    policies,
    role_teams,
    role_users,
    roles,
    team_ancestors,
    team_users,
    users,
)
from dais.identity.types import Actor, Role
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict
from dais.kit.ids import new_id

_insert_role = Statement(insert(roles), suffix="ON CONFLICT DO NOTHING")
_insert_policy = Statement(insert(policies))
_add_user = Statement(insert(role_users), suffix="ON CONFLICT DO NOTHING")
_add_team = Statement(insert(role_teams), suffix="ON CONFLICT DO NOTHING")
_remove_user = Statement(
    delete(role_users).where(role_users.c.role_id == bindparam("role_id"), role_users.c.user_id == bindparam("user_id"))
)
_remove_team = Statement(
    delete(role_teams).where(role_teams.c.role_id == bindparam("role_id"), role_teams.c.team_id == bindparam("team_id"))
)
_other = roles.alias("other")
_rename = Statement(
    update(roles)
    .where(
        roles.c.id == bindparam("role_id"),
        ~select(_other.c.id)
        .where(_other.c.parent_id == bindparam("in_parent"), _other.c.name == bindparam("new_name"))
        .exists(),
    )
    .values(name=bindparam("new_name"))
)
_remove = Statement(delete(roles).where(roles.c.id == bindparam("role_id")))
_there = Statement(select(roles.c.id).where(roles.c.id == bindparam("role_id")))
_assumed_by = union(
    select(role_users.c.user_id).where(role_users.c.role_id == bindparam("role_id")),
    select(team_users.c.user_id)
    .join(team_ancestors, team_ancestors.c.team_id == team_users.c.team_id)
    .join(role_teams, role_teams.c.team_id == team_ancestors.c.ancestor_id)
    .where(role_teams.c.role_id == bindparam("role_id")),
)
_holders = Statement(
    select(func.count()).select_from(users).where(users.c.id.in_(_assumed_by), users.c.disabled_at.is_(None))
)

_admin_roles = select(roles.c.id).where(roles.c.predefined == 1, roles.c.name == ADMIN)
_of_team = select(role_teams.c.role_id).join(team_ancestors, team_ancestors.c.ancestor_id == role_teams.c.team_id)
_admin_roles_of_team = Statement(
    _admin_roles.where(roles.c.id.in_(_of_team.where(team_ancestors.c.team_id == bindparam("team_id"))))
)
_in_teams = _of_team.join(team_users, team_users.c.team_id == team_ancestors.c.team_id)
_admin_roles_of_user = Statement(
    _admin_roles.where(
        or_(
            roles.c.id.in_(select(role_users.c.role_id).where(role_users.c.user_id == bindparam("user_id"))),
            roles.c.id.in_(_in_teams.where(team_users.c.user_id == bindparam("user_id"))),
        ),
        # Nobody else needs to look after the personal account of somebody who is gone.
        roles.c.parent_id != select(users.c.account_id).where(users.c.id == bindparam("user_id")).scalar_subquery(),
    )
)


def new_roles(
    uow: UnitOfWork, organization_id: str, parent_type: str, parent_id: str, predefined: Mapping[str, list[str]]
) -> dict[str, str]:
    """Make the predefined roles of an organization, account or team; their ids by name."""
    made = {}
    for name, statements in predefined.items():
        made[name] = _new(uow, organization_id, parent_type, parent_id, name, predefined=True)
        uow.run(
            _insert_policy,
            id=new_id(),
            organization_id=organization_id,
            user_id=None,
            team_id=None,
            role_id=made[name],
            statements="\n".join(statements),
            everywhere=0,
            created_by=None,
            created_at=uow.now,
        )
    return made


def new_member(uow: UnitOfWork, role_id: str, user_id: str) -> None:
    """Let a user assume a role. Permission is the caller's to have asked for."""
    uow.run(_add_user, role_id=role_id, user_id=user_id, created_at=uow.now)
    changed(uow, Event("role.member-added", "role", role_id, None, {"user_id": user_id}))


def drop_member(uow: UnitOfWork, role: Role, user_id: str) -> None:
    """Let a user assume a role no more, unless nobody would be left who administers something."""
    if role.predefined and role.name == ADMIN and uow.scalar(_holders, role_id=role.id) <= 1:
        return
    if uow.run(_remove_user, role_id=role.id, user_id=user_id):
        member = {"user_id": user_id, "team_id": None}
        changed(uow, Event("role.member-removed", "role", role.id, None, member))


def create_role(uow: UnitOfWork, actor: Actor, parent_type: str, parent_id: str, name: str) -> Role:
    """Make a role, without policies, of an `organization`, `account` or `team`. Raises Conflict `role-exists`."""
    check_name(name, "a role")
    place = role_resource(uow, parent_type, parent_id, new=True)
    require_on(uow, actor, "role:new", place)
    role_id = _new(uow, place.organization_id, parent_type, parent_id, name, predefined=False)
    return get_role(uow, role_id)


def rename_role(uow: UnitOfWork, actor: Actor, role: Role, name: str) -> Role:
    """Give a role another name. Raises Conflict `predefined-role`, `role-exists`."""
    check_name(name, "a role")
    require_on(uow, actor, "role:set", resource_of(uow, role))
    _refuse_predefined(role, "renamed")
    if name != role.name and not uow.run(_rename, role_id=role.id, in_parent=role.parent_id, new_name=name):
        raise taken("a role", name)
    changed(uow, Event("role.changed", "role", role.id, None, {"name": name}))
    return get_role(uow, role.id)


def remove_role(uow: UnitOfWork, actor: Actor, role: Role) -> None:
    """Remove a role with its policies, members and keys. Raises Conflict `predefined-role`."""
    require_on(uow, actor, "role:rm", resource_of(uow, role))
    _refuse_predefined(role, "removed")
    uow.run(_remove, role_id=role.id)
    changed(uow, Event("role.removed", "role", role.id, None, {"name": role.name}))


def add_role_member(
    uow: UnitOfWork, actor: Actor, role: Role, *, user_id: str | None = None, team_id: str | None = None
) -> None:
    """Let a user, or a team's members, assume a role. Adding twice is the same as once.

    Raises Forbidden `beyond-own` when the role may do more than the actor.
    """
    require_on(uow, actor, "role:set", resource_of(uow, role))
    require_to_be_let_in(uow, actor, "role", role.id)
    member = member_of(uow, actor, user_id, team_id)
    if user_id is not None:
        uow.run(_add_user, role_id=role.id, user_id=user_id, created_at=uow.now)
    else:
        get_team(uow, str(team_id))
        uow.run(_add_team, role_id=role.id, team_id=team_id, created_at=uow.now)
    changed(uow, Event("role.member-added", "role", role.id, None, member))


def remove_role_member(
    uow: UnitOfWork, actor: Actor, role: Role, *, user_id: str | None = None, team_id: str | None = None
) -> None:
    """End a membership; one that is not there stays so. Raises Conflict `last-administrator`."""
    check_one(user_id, team_id)
    require_on(uow, actor, "role:set", resource_of(uow, role))
    with keeping_administrators(uow, role.organization_id, [role.id] if _is_admin(role) else []):
        if user_id is not None:
            gone = uow.run(_remove_user, role_id=role.id, user_id=user_id)
        else:
            gone = uow.run(_remove_team, role_id=role.id, team_id=team_id)
        if gone:
            member = {"user_id": user_id, "team_id": team_id}
            changed(uow, Event("role.member-removed", "role", role.id, None, member))


@contextmanager
def keeping_administrators(uow: UnitOfWork, organization_id: str, role_ids: Iterable[str]) -> Iterator[None]:
    """Refuse what leaves one of these predefined admin roles, which somebody can assume now, with nobody.

    Nobody is who is not let in, too. Raises Conflict `last-administrator` at the end of the block.
    """
    hold(uow, organization_id)
    held = [role_id for role_id in role_ids if uow.scalar(_holders, role_id=role_id)]
    yield
    for role_id in held:
        row = uow.one(_there, role_id=role_id)
        if row is not None and not uow.scalar(_holders, role_id=role_id):
            full_name = get_role(uow, role_id).full_name
            raise Conflict(
                f"{full_name} would have nobody left: add another member first "
                f"(`dais role member add {full_name} --user …`)",
                code="last-administrator",
                role=full_name,
            )


def admin_roles_of_team(uow: UnitOfWork, team_id: str) -> list[str]:
    """The ids of the predefined admin roles that the members of a team can assume through it."""
    return [row.id for row in uow.all(_admin_roles_of_team, team_id=team_id)]


def admin_roles_of_user(uow: UnitOfWork, user_id: str) -> list[str]:
    """The same for a user, without the one of the personal account."""
    return [row.id for row in uow.all(_admin_roles_of_user, user_id=user_id)]


def _is_admin(role: Role) -> bool:
    return role.predefined and role.name == ADMIN


def _new(
    uow: UnitOfWork, organization_id: str, parent_type: str, parent_id: str, name: str, *, predefined: bool
) -> str:
    role_id = new_id()
    made = uow.run(
        _insert_role,
        id=role_id,
        organization_id=organization_id,
        parent_type=parent_type,
        parent_id=parent_id,
        name=name,
        predefined=int(predefined),
        created_at=uow.now,
    )
    if not made:
        raise taken("a role", name)
    changed(uow, Event("role.new", "role", role_id, None, {"name": name}))
    return role_id


def _refuse_predefined(role: Role, what: str) -> None:
    if role.predefined:
        raise Conflict(
            f"{role.full_name} is predefined and cannot be {what}; make a role of your own", code="predefined-role"
        )
