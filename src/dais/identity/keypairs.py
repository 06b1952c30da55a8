"""Pairs of an access key and a secret. Requests are signed with the secret, which is never sent.

The secret must be read to check a signature, so it is kept sealed with the installation's key.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, select, update

from dais.identity.commands.tokens import bounds, future, new_token, require_token
from dais.identity.granting import require_to_be_let_in
from dais.identity.queries.roles import resource_of
from dais.identity.queries.tokens import of_hash
from dais.identity.queries.users import get_user
from dais.identity.rules import require, require_on
from dais.identity.secrets import hash_of, new_access_key, random_digits
from dais.identity.tables import tokens
from dais.identity.types import Actor, Authenticated, Role
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Unauthenticated
from dais.kit.vault import Vault

KIND = "pair"

_sealed = Statement(select(tokens.c.sealed).where(tokens.c.access_key == bindparam("access_key")))
_every = Statement(select(tokens.c.id, tokens.c.access_key, tokens.c.sealed).where(tokens.c.sealed.is_not(None)))
_reseal = Statement(update(tokens).where(tokens.c.id == bindparam("token_id")).values(sealed=bindparam("again")))


class NewPair(msgspec.Struct, frozen=True, kw_only=True):
    """A pair just made. `secret` is shown this once."""

    id: str
    access_key: str
    secret: str
    expires_at: int | None


class KnownPair(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a pair is, and its secret, sealed."""

    found: Authenticated
    sealed: str


def create_keypair(
    uow: UnitOfWork,
    actor: Actor,
    vault: Vault,
    *,
    user_id: str | None = None,
    role: Role | None = None,
    label: str | None = None,
    expires_at: int | None = None,
    narrowed: list[str] | None = None,
) -> NewPair:
    """Make a pair of a user (by default the actor), or one that acts as a role.

    The same is asked for, and refused, as for a bearer token; see `create_token` and `create_role_key`.
    """
    user = get_user(uow, user_id or actor.id)
    if role is not None:
        require_on(uow, actor, "role:set", resource_of(uow, role))
        require_to_be_let_in(uow, actor, "role", role.id)
        lines = bounds(actor, role.organization_id, narrowed)
    else:
        lines = require_token(uow, actor, user, narrowed)
    access_key, secret = new_access_key(), random_digits()
    token = new_token(
        uow,
        actor.id if role is not None else user.id,
        KIND,
        label,
        future(uow, expires_at),
        access_key,
        role_id=role.id if role is not None else None,
        narrowed=lines,
        access_key=access_key,
        sealed=vault.seal(secret.encode(), KIND, access_key),
    )
    return NewPair(id=token.id, access_key=access_key, secret=secret, expires_at=token.expires_at)


def find_keypair(uow: UnitOfWork, access_key: str) -> KnownPair:
    """The pair of an access key. Raises Unauthenticated `key-unknown`, or as `authenticate` does."""
    sealed = uow.scalar(_sealed, access_key=access_key)
    if sealed is None:
        raise Unauthenticated(
            f"this installation does not know the access key {access_key[:20]!r}; is it meant for this server?",
            code="key-unknown",
        )
    return KnownPair(found=of_hash(uow, hash_of(access_key)), sealed=sealed)


def secret_of(vault: Vault, access_key: str, sealed: str) -> str:
    """The secret that is sealed."""
    return vault.open(sealed, KIND, access_key).decode()


def reseal_keypairs(uow: UnitOfWork, actor: Actor, vault: Vault) -> int:
    """Seal every pair's secret with the newest key of the vault; how many."""
    require(uow, actor, "installation:set")
    rows = uow.all(_every)
    uow.many(
        _reseal,
        [
            {
                "token_id": row.id,
                "again": vault.seal(vault.open(row.sealed, KIND, row.access_key), KIND, row.access_key),
            }
            for row in rows
        ],
    )
    return len(rows)
