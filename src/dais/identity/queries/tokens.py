"""Whose a token is."""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, case

from dais.identity.holders import actor_of, with_holder
from dais.identity.secrets import has_shape, hash_of
from dais.identity.tables import roles, tokens
from dais.identity.types import Actor, Authenticated
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Unauthenticated

_whose = with_holder(
    tokens,
    tokens.c.id.label("token_id"),
    tokens.c.expires_at,
    tokens.c.revoked_at,
    tokens.c.role_id,
    tokens.c.narrowed,
    case((roles.c.parent_type == "account", roles.c.parent_id)).label("role_account_id"),
).outerjoin(roles, roles.c.id == tokens.c.role_id)
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
    user = actor_of(row)
    actor = msgspec.structs.replace(
        user,
        account_id=row.role_account_id or user.account_id,
        administrator=user.administrator and row.role_id is None,
        token_id=row.token_id,
        role_id=row.role_id,
        narrowed=tuple(row.narrowed.split("\n")) if row.narrowed is not None else None,
    )
    return Authenticated(actor=actor, token_id=row.token_id, expires_at=row.expires_at)


def present(uow: UnitOfWork, actor: Actor) -> Actor:
    """The actor as they are now; for streams that live longer than one request. Raises as `authenticate`."""
    if actor.token_id is None:
        return actor
    return msgspec.structs.replace(actor_of_token(uow, actor.token_id), address=actor.address)


def actor_of_token(uow: UnitOfWork, token_id: str) -> Actor:
    """Whom a token stands for now, by its id. Raises as `authenticate`."""
    return _found(uow, uow.one(_again, id=token_id)).actor


def _unknown() -> Unauthenticated:
    return Unauthenticated(
        "this installation does not know the token; check that it is complete and meant for this server",
        code="token-unknown",
    )
