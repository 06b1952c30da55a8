"""The first start: somebody must be there to make everybody else."""

from __future__ import annotations

import re

import msgspec
from sqlalchemy import select

from dais.identity.commands import new_organization, new_token, new_user
from dais.identity.tables import organizations
from dais.identity.types import NewToken, User
from dais.kit.database import Statement, UnitOfWork

ORGANIZATION = "local"

_any_organization = Statement(select(organizations.c.id).limit(1))
_not_allowed = re.compile(r"[^a-z0-9_-]+")


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
    organization_id = new_organization(uow, ORGANIZATION)
    user = new_user(uow, organization_id, user_name(login), administrator=True)
    token = new_token(uow, user.id, "user", "first start", None, secret)
    return Bootstrapped(user=user, account=first_account(login), token=token)


def user_name(login: str) -> str:
    """A login of the operating system as the name of a user here: `Joe.Smith` is `joe-smith`."""
    return _not_allowed.sub("-", login.lower()).strip("-_")[:63] or "admin"
