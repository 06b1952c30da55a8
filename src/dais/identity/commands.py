"""Making and changing identities. Every change of who may do what hints `identity`: memories of it are dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import bindparam, insert, select, update

from dais.identity.queries import get_account, get_user, require
from dais.identity.secrets import has_shape, hash_of, new_secret
from dais.identity.tables import account_ancestors, account_members, accounts, organizations, tokens, users
from dais.identity.types import Account, Actor, NewToken, User
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid, NotFound
from dais.kit.ids import new_id

CHANGED = "identity"
"""The topic that is hinted when something changed that a permission rests on."""

MAX_DEPTH = 12
"""Accounts may be nested so deep."""

TOKEN_KINDS = ("user", "job")

_name = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

_insert_organization = Statement(insert(organizations))
_insert_account = Statement(insert(accounts), suffix="ON CONFLICT DO NOTHING")
_insert_ancestor = Statement(insert(account_ancestors))
_ancestors = Statement(
    select(account_ancestors.c.ancestor_id).where(account_ancestors.c.account_id == bindparam("account_id"))
)
_organization_name = Statement(select(organizations.c.name).where(organizations.c.id == bindparam("id")))
_insert_user = Statement(
    insert(users).values(
        id=bindparam("id"),
        organization_id=bindparam("organization_id"),
        name=bindparam("name"),
        account_id=bindparam("account_id"),
        administrator_at=bindparam("administrator_at"),
        created_at=bindparam("created_at"),
    )
)
_insert_member = Statement(insert(account_members), suffix="ON CONFLICT DO NOTHING")
_insert_token = Statement(
    insert(tokens).values(
        id=bindparam("id"),
        user_id=bindparam("user_id"),
        kind=bindparam("kind"),
        hash=bindparam("hash"),
        label=bindparam("label"),
        created_at=bindparam("created_at"),
        expires_at=bindparam("expires_at"),
    )
)
_token_owner = Statement(select(tokens.c.user_id).where(tokens.c.id == bindparam("id")))
_revoke = (
    update(tokens)
    .where(tokens.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"), revoked_reason=bindparam("reason"))
)
_revoke_id = Statement(_revoke.where(tokens.c.id == bindparam("token_id")))
_revoke_hash = Statement(
    _revoke.where(tokens.c.hash == bindparam("secret_hash")).returning(tokens.c.id, tokens.c.user_id)
)
_touch = Statement(update(tokens).where(tokens.c.id == bindparam("token_id")).values(last_used_at=bindparam("used_at")))


def check_name(name: str, what: str) -> str:
    """The name itself, when accounts, users and organizations may have it. Raises Invalid `bad-name`."""
    if not _name.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} cannot be the name of {what}: it takes a to z, 0 to 9, _ and -, begins with a letter or "
            "digit, and has at most 63 characters",
            code="bad-name",
            name=name[:80],
        )
    return name


def new_organization(uow: UnitOfWork, name: str) -> str:
    """Make an organization; its id. Permission is the caller's to have asked for."""
    organization_id = new_id()
    uow.run(_insert_organization, id=organization_id, name=check_name(name, "an organization"), created_at=uow.now)
    return organization_id


def new_account(uow: UnitOfWork, organization_id: str, name: str, parent: Account | None) -> Account:
    """Make an account. Permission is the caller's to have asked for. Raises Invalid, Conflict `account-exists`."""
    check_name(name, "an account")
    organization = uow.scalar(_organization_name, id=organization_id)
    full_name = f"{parent.full_name if parent else organization}.{name}"
    ancestors = [row.ancestor_id for row in uow.all(_ancestors, account_id=parent.id)] if parent else []
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
        raise Conflict(f"there is an account {full_name} already", code="account-exists", account=full_name)
    rows = [{"account_id": account.id, "ancestor_id": ancestor} for ancestor in [*ancestors, account.id]]
    uow.many(_insert_ancestor, rows)
    uow.emit(Event("account.new", "account", account.id, account.id, {"full_name": full_name}))
    uow.hint(CHANGED)
    return account


def new_user(uow: UnitOfWork, organization_id: str, name: str, *, administrator: bool) -> User:
    """Make a user with a personal account. Permission is the caller's to have asked for."""
    check_name(name, "a user")
    account = new_account(uow, organization_id, name, None)
    user_id = new_id()
    uow.run(
        _insert_user,
        id=user_id,
        organization_id=organization_id,
        name=name,
        account_id=account.id,
        administrator_at=uow.now if administrator else None,
        created_at=uow.now,
    )
    uow.run(_insert_member, user_id=user_id, account_id=account.id, created_at=uow.now)
    uow.emit(Event("user.new", "user", user_id, account.id, {"name": name}))
    uow.hint(CHANGED)
    return get_user(uow, user_id)


def new_token(
    uow: UnitOfWork, user_id: str, kind: str, label: str | None, expires_at: int | None, secret: str | None = None
) -> NewToken:
    """Make a token. Permission is the caller's to have asked for."""
    assert kind in TOKEN_KINDS, kind
    token = NewToken(id=new_id(), secret=secret or new_secret(kind), expires_at=expires_at)
    uow.run(
        _insert_token,
        id=token.id,
        user_id=user_id,
        kind=kind,
        hash=hash_of(token.secret),
        label=label,
        created_at=uow.now,
        expires_at=expires_at,
    )
    uow.emit(Event("token.new", "token", token.id, None, {"user_id": user_id, "kind": kind}))
    return token


def create_account(uow: UnitOfWork, actor: Actor, name: str, parent_id: str | None = None) -> Account:
    """Make an account below another, or at the top of the actor's organization (administrators only)."""
    require(uow, actor, "account:new", account_id=parent_id)
    parent = get_account(uow, parent_id) if parent_id is not None else None
    return new_account(uow, parent.organization_id if parent else actor.organization_id, name, parent)


def create_user(uow: UnitOfWork, actor: Actor, name: str, *, administrator: bool = False) -> User:
    """Make a user of the actor's organization, with a personal account. Raises Conflict `account-exists`."""
    require(uow, actor, "user:new")
    return new_user(uow, actor.organization_id, name, administrator=administrator)


def grant_account(uow: UnitOfWork, actor: Actor, account_id: str, user_id: str) -> None:
    """Let a user do everything in an account and below. Granting twice is the same as once."""
    require(uow, actor, "account:set", account_id=account_id)
    get_account(uow, account_id)
    get_user(uow, user_id)
    uow.run(_insert_member, user_id=user_id, account_id=account_id, created_at=uow.now)
    uow.emit(Event("account.granted", "account", account_id, account_id, {"user_id": user_id}))
    uow.hint(CHANGED)


def create_token(
    uow: UnitOfWork,
    actor: Actor,
    *,
    user_id: str | None = None,
    kind: str = "user",
    label: str | None = None,
    expires_at: int | None = None,
) -> NewToken:
    """Make a token for the actor, or (administrators) for another user. Its secret is told this once."""
    if kind not in TOKEN_KINDS:
        raise Invalid(f"token kind {kind!r} is not one of {', '.join(TOKEN_KINDS)}", code="bad-token-kind")
    if expires_at is not None and expires_at <= uow.now:
        raise Invalid("the token would have expired already; give a time in the future", code="bad-expiry")
    if user_id is not None and user_id != actor.id:
        require(uow, actor, "token:new")
        get_user(uow, user_id)
    return new_token(uow, user_id or actor.id, kind, label, expires_at)


def revoke_token(uow: UnitOfWork, actor: Actor, token_id: str) -> None:
    """End a token at once: one's own, or (administrators) anybody's. Raises NotFound `no-such-token`."""
    owner = uow.scalar(_token_owner, id=token_id)
    if owner is None or not (owner == actor.id or actor.administrator):
        raise NotFound(f"there is no token {token_id} of yours", code="no-such-token", token=token_id)
    if uow.run(_revoke_id, token_id=token_id, now=uow.now, reason="user-request"):
        _revoked(uow, token_id, owner, "user-request")


def revoke_secret(uow: UnitOfWork, secret: str, reason: str) -> bool:
    """End a token that others may have seen, whoever noticed it; whether there was one to end."""
    row = uow.one(_revoke_hash, secret_hash=hash_of(secret), now=uow.now, reason=reason) if has_shape(secret) else None
    if row is None:
        return False
    _revoked(uow, row.id, row.user_id, reason)
    return True


def touch_tokens(uow: UnitOfWork, used: Mapping[str, int]) -> None:
    """Note when tokens (by id) were last used."""
    uow.many(_touch, [{"token_id": token_id, "used_at": at} for token_id, at in sorted(used.items())])


def _revoked(uow: UnitOfWork, token_id: str, user_id: str, reason: str) -> None:
    uow.emit(Event("token.revoked", "token", token_id, None, {"user_id": user_id, "reason": reason}))
    uow.hint(CHANGED)
