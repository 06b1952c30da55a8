"""Making accounts."""

from __future__ import annotations

from sqlalchemy import Integer, String, bindparam, func, insert, select, update

from dais.identity.commands.names import changed, check_name, taken
from dais.identity.commands.roles import add_role_member, new_member, new_roles
from dais.identity.predefined import ADMIN, of_account
from dais.identity.queries.accounts import account_and_above, get_account
from dais.identity.queries.organizations import get_organization
from dais.identity.queries.roles import get_role
from dais.identity.rules import require
from dais.identity.tables import account_ancestors, accounts, organizations, roles, users
from dais.identity.types import Account, Actor
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid
from dais.kit.ids import new_id

MAX_DEPTH = 12
"""Accounts may be nested so deep."""

_insert_account = Statement(insert(accounts), suffix="ON CONFLICT DO NOTHING")
_insert_ancestor = Statement(insert(account_ancestors))
_organization_name = Statement(select(organizations.c.name).where(organizations.c.id == bindparam("id")))
_role_named = Statement(
    select(roles.c.id).where(roles.c.parent_id == bindparam("parent_id"), roles.c.name == bindparam("name"))
)
_personal = Statement(select(users.c.id).where(users.c.account_id == bindparam("account_id")))
_by_full_name = Statement(select(accounts.c.id).where(accounts.c.full_name == bindparam("full_name")))
_rename = Statement(update(accounts).where(accounts.c.id == bindparam("account_id")).values(name=bindparam("new_name")))
_below = select(account_ancestors.c.account_id).where(account_ancestors.c.ancestor_id == bindparam("account_id"))
_rename_below = Statement(
    update(accounts)
    .where(accounts.c.id.in_(_below))
    .values(
        full_name=bindparam("new", type_=String()).concat(
            func.substr(accounts.c.full_name, bindparam("tail", type_=Integer()))
        )
    )
)


def new_account(
    uow: UnitOfWork, organization_id: str, name: str, parent: Account | None, owner_id: str | None
) -> Account:
    """Make an account, whose administrator the owner is. Permission is the caller's to have asked for.

    Raises Invalid `bad-name`, `too-deep`, Conflict `account-exists`.
    """
    check_name(name, "an account")
    organization = uow.scalar(_organization_name, id=organization_id)
    full_name = f"{parent.full_name if parent else organization}.{name}"
    ancestors = account_and_above(uow, parent.id) if parent else []
    if len(ancestors) >= MAX_DEPTH:
        raise Invalid(f"{full_name} lies too deep: at most {MAX_DEPTH} accounts may be nested", code="too-deep")
    account = Account(
        id=new_id(),
        name=name,
        full_name=full_name,
        organization_id=organization_id,
        organization=organization,
        parent_id=parent.id if parent else None,
    )
    made = uow.run(
        _insert_account,
        id=account.id,
        organization_id=organization_id,
        parent_id=account.parent_id,
        name=name,
        full_name=full_name,
        created_at=uow.now,
    )
    if not made:
        raise taken("an account", full_name)
    rows = [{"account_id": account.id, "ancestor_id": ancestor} for ancestor in [*ancestors, account.id]]
    uow.many(_insert_ancestor, rows)
    made_roles = new_roles(uow, organization_id, "account", account.id, of_account(organization_id, account.id))
    if owner_id is not None:
        new_member(uow, made_roles[ADMIN], owner_id)
    changed(uow, Event("account.new", "account", account.id, account.id, {"full_name": full_name}))
    return account


def create_account(
    uow: UnitOfWork, actor: Actor, name: str, parent_id: str | None = None, *, organization_id: str | None = None
) -> Account:
    """Make an account below another, or at the top of an organization (by default the actor's), owned by the actor."""
    organization_id = organization_id or actor.organization_id
    require(uow, actor, "account:new", account_id=parent_id, organization_id=organization_id)
    parent = get_account(uow, parent_id) if parent_id is not None else None
    place = parent.organization_id if parent else get_organization(uow, organization_id).id
    return new_account(uow, place, name, parent, actor.id)


def rename_account(uow: UnitOfWork, actor: Actor, account_id: str, name: str) -> Account:
    """Give an account another name, and with it those below. Raises Conflict `account-exists`, `personal-account`."""
    check_name(name, "an account")
    require(uow, actor, "account:set", account_id=account_id)
    account = get_account(uow, account_id)
    if uow.one(_personal, account_id=account_id) is not None:
        raise Conflict(
            f"{account.full_name} is somebody's personal account and is called as they are: `dais user set --name` "
            "renames both",
            code="personal-account",
        )
    return give_name(uow, account, name)


def give_name(uow: UnitOfWork, account: Account, name: str) -> Account:
    """Give an account another name, and with it those below. Permission is the caller's to have asked for.

    Raises Conflict `account-exists`.
    """
    old, new = account.full_name, f"{account.full_name.rpartition('.')[0]}.{name}"
    if new != old:
        if uow.one(_by_full_name, full_name=new) is not None:
            raise taken("an account", new)
        uow.run(_rename, account_id=account.id, new_name=name)
        uow.run(_rename_below, account_id=account.id, new=new, tail=len(old) + 1)
        changed(uow, Event("account.changed", "account", account.id, account.id, {"full_name": new, "was": old}))
    return get_account(uow, account.id)


def grant_account(uow: UnitOfWork, actor: Actor, account_id: str, user_id: str) -> None:
    """Let a user do everything in an account and below. Granting twice is the same as once."""
    role_id = admin_role(uow, get_account(uow, account_id).id)
    add_role_member(uow, actor, get_role(uow, role_id), user_id=user_id)


def admin_role(uow: UnitOfWork, account_id: str) -> str:
    """The id of an account's predefined role `admin`."""
    return str(uow.scalar(_role_named, parent_id=account_id, name=ADMIN))
