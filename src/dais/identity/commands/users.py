"""Making and changing users."""

from __future__ import annotations

import re

from sqlalchemy import bindparam, insert, select, update

from dais.identity.commands.accounts import admin_role, give_name, new_account
from dais.identity.commands.names import changed, check_email, check_name, check_text, taken
from dais.identity.commands.roles import admin_roles_of_user, keeping_administrators, new_member
from dais.identity.granting import require_over
from dais.identity.predefined import USER, of_oneself
from dais.identity.queries.accounts import get_account
from dais.identity.queries.organizations import get_organization
from dais.identity.queries.users import get_user
from dais.identity.rules import require
from dais.identity.tables import policies, roles, users
from dais.identity.types import Actor, User
from dais.identity.urns import INSTALLATION
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, Forbidden, Invalid
from dais.kit.ids import new_id

_insert_user = Statement(
    insert(users).values(
        id=bindparam("id"),
        organization_id=bindparam("organization_id"),
        name=bindparam("name"),
        account_id=bindparam("account_id"),
        administrator_at=bindparam("administrator_at"),
        email=bindparam("email"),
        full_name=bindparam("full_name"),
        created_at=bindparam("created_at"),
    )
)
_insert_policy = Statement(insert(policies))
_role_named = Statement(
    select(roles.c.id).where(roles.c.parent_id == bindparam("parent_id"), roles.c.name == bindparam("name"))
)
_with_email = Statement(select(users.c.id).where(users.c.email == bindparam("email")))
_named = Statement(
    select(users.c.id).where(users.c.organization_id == bindparam("organization_id"), users.c.name == bindparam("name"))
)
_rename = Statement(update(users).where(users.c.id == bindparam("user_id")).values(name=bindparam("new_name")))
_set = Statement(
    update(users)
    .where(users.c.id == bindparam("user_id"))
    .values(email=bindparam("new_email"), full_name=bindparam("new_full_name"))
)
_disable = Statement(
    update(users)
    .where(users.c.id == bindparam("user_id"), users.c.disabled_at.is_(None))
    .values(disabled_at=bindparam("now"))
)
_enable = Statement(update(users).where(users.c.id == bindparam("user_id")).values(disabled_at=None))
_administer = Statement(
    update(users).where(users.c.id == bindparam("user_id")).values(administrator_at=bindparam("administrator_since"))
)
# All of them are held, so that two units cannot each take the other one for the last.
_administrators = Statement(
    select(users.c.id)
    .where(users.c.administrator_at.is_not(None), users.c.disabled_at.is_(None))
    .with_for_update(key_share=True)
)
_not_in_names = re.compile(r"[^a-z0-9_-]+")


def name_from(text: str) -> str:
    """What a user is called whose login, or e-mail address, is this: `Joe.Smith@example.org` is `joe-smith`."""
    return _not_in_names.sub("-", text.partition("@")[0].lower()).strip("-_")[:63]


def new_user(
    uow: UnitOfWork,
    organization_id: str,
    name: str,
    *,
    administrator: bool = False,
    email: str | None = None,
    full_name: str | None = None,
) -> User:
    """Make a user with a personal account. Permission is the caller's to have asked for.

    Raises Invalid `bad-name`, `bad-email`, `bad-text`; Conflict `user-exists`, `email-taken`.
    """
    check_name(name, "a user")
    _refuse_taken(uow, organization_id, name)
    if email is not None:
        email = check_email(email)
        if uow.one(_with_email, email=email) is not None:
            raise Conflict(f"somebody has the address {email} already", code="email-taken", email=email)
    account = new_account(uow, organization_id, name, None, None)
    user_id = new_id()
    uow.run(
        _insert_user,
        id=user_id,
        organization_id=organization_id,
        name=name,
        account_id=account.id,
        administrator_at=uow.now if administrator else None,
        email=email,
        full_name=check_text(full_name, "a full name", 200) if full_name is not None else None,
        created_at=uow.now,
    )
    new_member(uow, admin_role(uow, account.id), user_id)
    new_member(uow, uow.scalar(_role_named, parent_id=organization_id, name=USER), user_id)
    uow.run(
        _insert_policy,
        id=new_id(),
        organization_id=organization_id,
        user_id=user_id,
        team_id=None,
        role_id=None,
        statements="\n".join(of_oneself(organization_id, user_id)),
        everywhere=0,
        created_by=None,
        created_at=uow.now,
    )
    changed(uow, Event("user.new", "user", user_id, account.id, {"name": name}))
    return get_user(uow, user_id)


def create_user(
    uow: UnitOfWork,
    actor: Actor,
    name: str | None,
    *,
    organization_id: str | None = None,
    administrator: bool = False,
    email: str | None = None,
    full_name: str | None = None,
) -> User:
    """Make a user of an organization (by default the actor's), with a personal account; see `new_user`.

    Without a name they are called as their e-mail address begins. Only an administrator of the installation makes
    another one: raises Forbidden `beyond-own`.
    """
    organization_id = organization_id or actor.organization_id
    require(uow, actor, "user:new", organization_id=organization_id)
    if administrator:
        _require_administrator(actor)
    if name is None:
        if email is None:
            raise Invalid("a user needs a name or an e-mail address; give one", code="bad-name")
        name = name_from(check_email(email))
    return new_user(uow, organization_id, name, administrator=administrator, email=email, full_name=full_name)


def set_user(
    uow: UnitOfWork, actor: Actor, user_id: str, *, email: str | None = None, full_name: str | None = None
) -> User:
    """Change what is known of a user; None leaves a thing as it is. Raises Conflict `email-taken`."""
    user = get_user(uow, user_id)
    require(uow, actor, "user:set", organization_id=user.organization_id, resource_id=user_id)
    if email is not None:
        require_over(uow, actor, user_id)  # who has the address can have the password mailed
        email = check_email(email)
        other = uow.scalar(_with_email, email=email)
        if other is not None and other != user_id:
            raise Conflict(f"somebody has the address {email} already", code="email-taken", email=email)
    if full_name is not None:
        full_name = check_text(full_name, "a full name", 200)
    uow.run(
        _set,
        user_id=user_id,
        new_email=user.email if email is None else email,
        new_full_name=user.full_name if full_name is None else full_name,
    )
    changed(uow, Event("user.changed", "user", user_id, user.account_id, {"name": user.name}))
    return get_user(uow, user_id)


def rename_user(uow: UnitOfWork, actor: Actor, user_id: str, name: str) -> User:
    """Give a user another name, and with it the personal account and those below. Users may rename themselves.

    Raises Invalid `bad-name`, Conflict `user-exists`, `account-exists`.
    """
    check_name(name, "a user")
    user = get_user(uow, user_id)
    require(uow, actor, "user:set", organization_id=user.organization_id, resource_id=user_id)
    if name == user.name:
        return user
    _refuse_taken(uow, user.organization_id, name)
    give_name(uow, get_account(uow, user.account_id), name)
    uow.run(_rename, user_id=user_id, new_name=name)
    changed(uow, Event("user.changed", "user", user_id, user.account_id, {"name": name, "was": user.name}))
    return get_user(uow, user_id)


def disable_user(uow: UnitOfWork, actor: Actor, user_id: str) -> User:
    """Let a user in no more: tokens, sessions and keys of roles that they made end to be good at once.

    What is theirs stays. Raises Conflict `last-administrator` when something would be left without one.
    """
    user = get_user(uow, user_id)
    require(uow, actor, "user:rm", organization_id=user.organization_id, resource_id=user_id)
    require_over(uow, actor, user_id)
    with keeping_administrators(uow, user.organization_id, admin_roles_of_user(uow, user_id)):
        if uow.run(_disable, user_id=user_id, now=uow.now):
            changed(uow, Event("user.disabled", "user", user_id, user.account_id, {"name": user.name}))
            _refuse_without_administrator(uow)
    return get_user(uow, user_id)


def enable_user(uow: UnitOfWork, actor: Actor, user_id: str) -> User:
    """Let a disabled user in again."""
    user = get_user(uow, user_id)
    require(uow, actor, "user:rm", organization_id=user.organization_id, resource_id=user_id)
    require_over(uow, actor, user_id)
    uow.run(_enable, user_id=user_id)
    changed(uow, Event("user.enabled", "user", user_id, user.account_id, {"name": user.name}))
    return get_user(uow, user_id)


def set_administrator(uow: UnitOfWork, actor: Actor, user_id: str, administrator: bool) -> User:
    """Make a user an administrator of the installation, or no more. Raises Conflict `last-administrator`."""
    user = get_user(uow, user_id)
    require(uow, actor, "installation:set")
    _require_administrator(actor)
    if administrator != user.administrator:
        uow.run(_administer, user_id=user_id, administrator_since=uow.now if administrator else None)
        changed(uow, Event("user.changed", "user", user_id, user.account_id, {"administrator": administrator}))
        _refuse_without_administrator(uow)
    return get_user(uow, user_id)


def _refuse_taken(uow: UnitOfWork, organization_id: str, name: str) -> None:
    if uow.one(_named, organization_id=organization_id, name=name) is not None:
        raise taken("a user", f"{get_organization(uow, organization_id).name}.{name}")


def _refuse_without_administrator(uow: UnitOfWork) -> None:
    if uow.one(_administrators) is None:
        raise Conflict(
            "the installation would have no administrator left; make another one first", code="last-administrator"
        )


def _require_administrator(actor: Actor) -> None:
    if not actor.administrator or actor.narrowed is not None:
        raise Forbidden(
            f"{actor.name} cannot make or end administrators of the installation; ask one of them",
            code="beyond-own",
            action="installation:set",
            urn=f"{INSTALLATION}:installation:",
            user=actor.name,
            organization_id=actor.organization_id,
        )
