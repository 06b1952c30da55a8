"""Projects, as ACAI has them: an account with users of its own, whose tokens reach it and nothing else."""

from __future__ import annotations

import re

import msgspec
from sqlalchemy import bindparam, insert, select

from dais.identity.audit import record
from dais.identity.commands.accounts import new_account
from dais.identity.commands.names import changed
from dais.identity.commands.roles import new_member
from dais.identity.commands.tokens import new_token
from dais.identity.commands.users import name_from, new_user
from dais.identity.predefined import USER, of_account, of_organization
from dais.identity.queries.accounts import get_account
from dais.identity.queries.roles import get_role, resource_of
from dais.identity.rules import require, require_on, resource_at
from dais.identity.tables import policies, roles
from dais.identity.types import Account, Actor, NewToken, User
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Forbidden, Unauthenticated
from dais.kit.ids import new_id

_role_named = Statement(select(roles.c.id).where(roles.c.parent_id == bindparam("account_id"), roles.c.name == USER))
_insert_policy = Statement(insert(policies))
_of_account = re.compile(r"@[^:@]+:account:([0-9a-f-]{36})(?:$|[+:])")


class NewProject(msgspec.Struct, frozen=True, kw_only=True):
    """A project just made, its administrator, and the administrator's token."""

    account: Account
    user: User
    token: NewToken


def create_project(
    uow: UnitOfWork, actor: Actor, name: str, admin_name: str, *, organization_id: str | None = None
) -> NewProject:
    """Make an account with an administrator of its own, who may make users for it.

    Takes an administrator of the installation. Raises Forbidden, Invalid `bad-name`, Conflict `account-exists`,
    `user-exists`.
    """
    if not actor.administrator:
        raise Forbidden(
            "only an administrator of the installation makes projects; use the token of one", code="beyond-own"
        )
    place = organization_id or actor.organization_id
    require(uow, actor, "account:new", organization_id=place)
    require(uow, actor, "user:new", organization_id=place)
    user = new_user(uow, place, _user_of(name, admin_name))
    account = new_account(uow, place, name, None, user.id)
    making = f"user:new@{place}:user:*"
    uow.run(
        _insert_policy,
        id=new_id(),
        organization_id=place,
        user_id=user.id,
        team_id=None,
        role_id=None,
        statements=making,
        everywhere=0,
        created_by=actor.id,
        created_at=uow.now,
    )
    changed(uow, Event("policy.new", "policy", user.id, None, {"user_id": user.id}))
    lines = [*of_account(place, account.id)["admin"], *of_organization(place)[USER], making]
    token = new_token(uow, user.id, "acai", f"project {name}", None, narrowed="\n".join(lines))
    return NewProject(account=account, user=user, token=token)


def add_project_user(uow: UnitOfWork, actor: Actor, account: Account, name: str) -> NewProject:
    """Make a user who works in a project and nowhere else. Takes `role:set` on its role `user`, and `user:new`.

    Raises Forbidden, Invalid `bad-name`, Conflict `user-exists`.
    """
    place = account.organization_id
    role_id = uow.scalar(_role_named, account_id=account.id)
    require_on(uow, actor, "role:set", resource_of(uow, get_role(uow, role_id)))
    require(uow, actor, "user:new", organization_id=place)
    user = new_user(uow, place, _user_of(account.name, name))
    new_member(uow, role_id, user.id)
    token_of = resource_at(uow, "token", organization_id=place, holder=("user", user.id), new=True)
    record(uow, actor, "token:new", token_of.urn, place, allowed=True)
    lines = [*of_account(place, account.id)[USER], *of_organization(place)[USER]]
    token = new_token(uow, user.id, "acai", f"project {account.name}", None, narrowed="\n".join(lines))
    return NewProject(account=account, user=user, token=token)


def project_of(uow: UnitOfWork, actor: Actor) -> Account:
    """The project that the actor's token is narrowed to. Raises Unauthenticated for a token of no project."""
    for line in actor.narrowed or ():
        found = _of_account.search(line)
        if found is not None:
            return get_account(uow, found[1])
    raise Unauthenticated(
        "this token belongs to no project; use one that create_project or create_user answered", code="no-project"
    )


def _user_of(project: str, name: str) -> str:
    """What a project's user is called in the organization, where every project may have an `alice`."""
    return f"{project}-{name_from(name) or name}"
