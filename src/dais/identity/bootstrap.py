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
    """The administrator of a new installation. The token is told this once."""

    user: User
    account: str
    token: NewToken


def bootstrap(uow: UnitOfWork, login: str) -> Bootstrapped | None:
    """Make organization `local`, account `local.<login>` and its administrator; None when there are any already."""
    if uow.one(_any_organization) is not None:
        return None
    name = user_name(login)
    organization_id = new_organization(uow, ORGANIZATION)
    user = new_user(uow, organization_id, name, administrator=True)
    token = new_token(uow, user.id, "user", "first start", None)
    return Bootstrapped(user=user, account=f"{ORGANIZATION}.{name}", token=token)


def user_name(login: str) -> str:
    """A login of the operating system as the name of a user here: `Joe.Smith` is `joe-smith`."""
    return _not_allowed.sub("-", login.lower()).strip("-_")[:63] or "admin"
