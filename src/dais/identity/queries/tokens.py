"""Whose a token is."""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, case, select

from dais.identity.secrets import has_shape, hash_of
from dais.identity.tables import organizations, roles, tokens, users
from dais.identity.types import Actor, Authenticated
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Unauthenticated

_whose = (
    select(
        tokens.c.id.label("token_id"),
        tokens.c.expires_at,
        tokens.c.revoked_at,
        tokens.c.role_id,
        tokens.c.narrowed,
        case((roles.c.parent_type == "account", roles.c.parent_id)).label("role_account_id"),
        users.c.id,
        users.c.number,
        users.c.name,
        users.c.organization_id,
        organizations.c.name.label("organization"),
        users.c.account_id,
        users.c.administrator_at,
        users.c.disabled_at,
    )
    .join(users, users.c.id == tokens.c.user_id)
    .join(organizations, organizations.c.id == users.c.organization_id)
    .outerjoin(roles, roles.c.id == tokens.c.role_id)
)
_authenticate = Statement(_whose.where(tokens.c.hash == bindparam("hash")))
_again = Statement(_whose.where(tokens.c.id == bindparam("id")))


def authenticate(uow: UnitOfWork, secret: str) -> Authenticated:
    """Whose token this is. Raises Unauthenticated `token-unknown|expired|revoked` or `user-disabled`."""
    if not has_shape(secret):
        raise _unknown()
    return of_hash(uow, hash_of(secret))


def of_hash(uow: UnitOfWork, hash: str) -> Authenticated:  # noqa: A002
    """The same for the hash that is stored of the token."""
    return _found(uow, uow.one(_authenticate, hash=hash))


def _found(uow: UnitOfWork, row: Row | None) -> Authenticated:
    """Whose token the row is, if it is still good."""
    if row is None:
        raise _unknown()
    if row.revoked_at is not None:
        raise Unauthenticated(
            f"the token was revoked at {to_rfc3339(row.revoked_at)}; ask the administrator for another, who gets one "
            "by `dais up --new-token`",
            code="token-revoked",
        )
    if row.expires_at is not None and row.expires_at <= uow.now:
        raise Unauthenticated(
            f"the token expired at {to_rfc3339(row.expires_at)}; make a new one", code="token-expired"
        )
    if row.disabled_at is not None:
        raise Unauthenticated(f"the user {row.name} is disabled; ask an administrator", code="user-disabled")
    actor = Actor(
        id=row.id,
        number=row.number,
        name=row.name,
        organization_id=row.organization_id,
        organization=row.organization,
        account_id=row.role_account_id or row.account_id,
        administrator=row.administrator_at is not None and row.role_id is None,
        token_id=row.token_id,
        role_id=row.role_id,
        narrowed=tuple(row.narrowed.split("\n")) if row.narrowed is not None else None,
    )
    return Authenticated(actor=actor, token_id=row.token_id, expires_at=row.expires_at)


def present(uow: UnitOfWork, actor: Actor) -> Actor:
    """The actor as they are now; for streams that live longer than one request. Raises as `authenticate`."""
    if actor.token_id is None:
        return actor
    now = _found(uow, uow.one(_again, id=actor.token_id)).actor
    return msgspec.structs.replace(now, address=actor.address)


def _unknown() -> Unauthenticated:
    return Unauthenticated(
        "this installation does not know the token; check that it is complete and meant for this server",
        code="token-unknown",
    )
