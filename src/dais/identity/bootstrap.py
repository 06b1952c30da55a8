"""The first start: somebody must be there to make everybody else."""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from dais.identity.commands.organizations import new_organization
from dais.identity.commands.roles import new_member
from dais.identity.commands.tokens import new_token
from dais.identity.commands.users import name_from, new_user
from dais.identity.predefined import ADMIN
from dais.identity.queries.accounts import get_account
from dais.identity.tables import organizations, users
from dais.identity.types import Actor, NewToken, User
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import NotFound

ORGANIZATION = "local"

_any_organization = Statement(select(organizations.c.id).limit(1))
_first_administrator = Statement(
    select(users.c.id, users.c.number, users.c.name, users.c.account_id)
    .where(users.c.administrator_at.is_not(None), users.c.disabled_at.is_(None))
    .order_by(users.c.number)
    .limit(1)
)


class Bootstrapped(msgspec.Struct, frozen=True, kw_only=True):
    """The administrator of a new installation. `account` is the full name; the token is told this once."""

    user: User
    account: str
    token: NewToken


def is_empty(uow: UnitOfWork) -> bool:
    """Whether this installation has never been started."""
    return uow.one(_any_organization) is None


def first_account(login: str) -> str:
    """The full name of the account that `bootstrap` makes."""
    return f"{ORGANIZATION}.{user_name(login)}"


def bootstrap(uow: UnitOfWork, login: str, secret: str | None = None) -> Bootstrapped | None:
    """Make organization `local`, account `local.<login>` and its administrator; None when there are any already.

    `secret` is the token's text where the caller has put it somewhere safe before; else one is made.
    """
    if not is_empty(uow):
        return None
    organization_id, its_roles = new_organization(uow, ORGANIZATION)
    user = new_user(uow, organization_id, user_name(login), administrator=True)
    new_member(uow, its_roles[ADMIN], user.id)
    token = new_token(uow, user.id, "user", "first start", None, secret)
    return Bootstrapped(user=user, account=first_account(login), token=token)


def recover(uow: UnitOfWork, secret: str) -> str:
    """Make `secret` a token of the first administrator, for an operator who has lost theirs; the account's full name.

    Permission is whoever runs the server on its data directory. Raises NotFound when every administrator is disabled.
    """
    row = uow.one(_first_administrator)
    if row is None:
        raise NotFound("there is no administrator who is not disabled", code="no-administrator")
    new_token(uow, row.id, "user", "recovered", None, secret)
    return get_account(uow, row.account_id).full_name


def first_administrator(uow: UnitOfWork) -> Actor | None:
    """Whom the installation itself acts as, for what is nobody's; None when every administrator is disabled."""
    row = uow.one(_first_administrator)
    if row is None:
        return None
    account = get_account(uow, row.account_id)
    return Actor(
        id=row.id,
        number=row.number,
        name=row.name,
        organization_id=account.organization_id,
        organization=account.full_name.partition(".")[0],
        account_id=row.account_id,
        administrator=True,
        installation=True,
    )


def user_name(login: str) -> str:
    """A login of the operating system as the name of a user here: `Joe.Smith` is `joe-smith`."""
    return name_from(login.replace("@", "-")) or "admin"
