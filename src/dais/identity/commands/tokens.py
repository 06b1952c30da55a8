"""Tokens: making and ending them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import bindparam, insert, select, update

from dais.identity.commands.policies import prepared
from dais.identity.evaluator import Rule
from dais.identity.granting import require_over, require_to_be_let_in, require_within
from dais.identity.queries.roles import get_role, resource_of
from dais.identity.queries.users import get_user
from dais.identity.rules import may, require, require_on, resource_at
from dais.identity.secrets import has_shape, hash_of, new_secret
from dais.identity.statements import parse
from dais.identity.tables import tokens
from dais.identity.topics import CHANGED
from dais.identity.types import Actor, NewToken, Role, Token, User
from dais.identity.urns import Resource
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Invalid, NotFound
from dais.kit.ids import new_id

TOKEN_KINDS = ("user", "job", "role", "pair", "acai")

_insert_token = Statement(
    insert(tokens).values(
        id=bindparam("id"),
        user_id=bindparam("user_id"),
        kind=bindparam("kind"),
        hash=bindparam("hash"),
        label=bindparam("label"),
        created_at=bindparam("created_at"),
        expires_at=bindparam("expires_at"),
        role_id=bindparam("role_id"),
        narrowed=bindparam("narrowed"),
        access_key=bindparam("access_key"),
        sealed=bindparam("sealed"),
    )
)
_token_owner = Statement(select(tokens.c.id, tokens.c.user_id, tokens.c.role_id).where(tokens.c.id == bindparam("id")))
_living = select(tokens).where(tokens.c.revoked_at.is_(None)).order_by(tokens.c.id.desc()).limit(1000)
_of_user = Statement(_living.where(tokens.c.user_id == bindparam("user_id"), tokens.c.role_id.is_(None)))
_of_role = Statement(_living.where(tokens.c.role_id == bindparam("role_id")))
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


def new_token(
    uow: UnitOfWork,
    user_id: str,
    kind: str,
    label: str | None,
    expires_at: int | None,
    secret: str | None = None,
    *,
    role_id: str | None = None,
    narrowed: str | None = None,
    access_key: str | None = None,
    sealed: str | None = None,
) -> NewToken:
    """Make a token; `narrowed` are statements, one a line. Permission is the caller's to have asked for."""
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
        role_id=role_id,
        narrowed=narrowed,
        access_key=access_key,
        sealed=sealed,
    )
    uow.emit(Event("token.new", "token", token.id, None, {"user_id": user_id, "kind": kind}))
    return token


def create_token(
    uow: UnitOfWork,
    actor: Actor,
    *,
    user_id: str | None = None,
    kind: str = "user",
    label: str | None = None,
    expires_at: int | None = None,
    narrowed: list[str] | None = None,
) -> NewToken:
    """Make a token of a user, by default of the actor. Its secret is told this once.

    `narrowed` are statements: it may do what both they and the user's rules allow. Raises Invalid `bad-expiry`,
    `bad-statement`; Forbidden `beyond-own` when the token could do more than the actor.
    """
    user = get_user(uow, user_id or actor.id)
    if kind not in TOKEN_KINDS[:2]:
        raise Invalid(f"token kind {kind!r} is not one of {', '.join(TOKEN_KINDS[:2])}", code="bad-token-kind")
    lines = require_token(uow, actor, user, narrowed)
    return new_token(uow, user.id, kind, label, future(uow, expires_at), narrowed=lines)


def require_token(uow: UnitOfWork, actor: Actor, user: User, narrowed: list[str] | None) -> str | None:
    """Require that the actor may make a token of a user; the lines that it is narrowed to.

    One for oneself takes `token:new`. One that could do more than the actor is refused: of a mightier user, or, for an
    actor whose own token is narrowed, one that is not; a role's key makes none of who made it, who may have more.
    """
    require(uow, actor, "token:new", organization_id=user.organization_id, holder=("user", user.id))
    lines = bounds(actor, user.organization_id, narrowed)
    if lines is None or user.id != actor.id or actor.role_id is not None:  # a role's key is not who made it
        require_over(uow, actor, user.id)
    elif actor.narrowed is not None:
        place = user.organization_id
        require_within(uow, actor, [Rule(statement=parse(line), organization_id=place) for line in lines.split("\n")])
    return lines


def bounds(actor: Actor, organization_id: str, narrowed: list[str] | None) -> str | None:
    """Statements that bound a token, as they are stored. Raises Invalid `bad-statement`, `unknown-action`."""
    if narrowed is None:
        return None
    rules, _ = prepared(actor, organization_id, narrowed)
    return "\n".join(str(rule.statement) for rule in rules)


def create_role_key(
    uow: UnitOfWork,
    actor: Actor,
    role: Role,
    *,
    label: str | None = None,
    expires_at: int | None = None,
    narrowed: list[str] | None = None,
) -> NewToken:
    """Make a key that acts as a role: it has the role's rules alone, and what it makes belongs to the actor.

    Raises Forbidden `beyond-own` when the role may do more than the actor.
    """
    require_on(uow, actor, "role:set", resource_of(uow, role))
    require_to_be_let_in(uow, actor, "role", role.id)
    lines = bounds(actor, role.organization_id, narrowed)
    return new_token(uow, actor.id, "role", label, future(uow, expires_at), role_id=role.id, narrowed=lines)


def list_tokens(uow: UnitOfWork, actor: Actor, user_id: str | None = None) -> list[Token]:
    """The tokens of a user (by default the actor) that have not been revoked, the newest first; no secrets."""
    user = get_user(uow, user_id or actor.id)
    require(uow, actor, "token:list", organization_id=user.organization_id, holder=("user", user.id))
    return [_token(row) for row in uow.all(_of_user, user_id=user.id)]


def list_role_keys(uow: UnitOfWork, actor: Actor, role: Role) -> list[Token]:
    """The keys of a role that have not been revoked, the newest first; no secrets."""
    require_on(uow, actor, "role:get", resource_of(uow, role))
    return [_token(row) for row in uow.all(_of_role, role_id=role.id)]


def revoke_token(uow: UnitOfWork, actor: Actor, token_id: str) -> None:
    """End a token or a role's key at once. Raises NotFound `no-such-token`, also for one that the actor may not end."""
    row = uow.one(_token_owner, id=token_id)
    if row is None or not may(uow, actor, *_ending(uow, row)):
        raise NotFound(f"there is no token {token_id} of yours", code="no-such-token", token=token_id)
    require_on(uow, actor, *_ending(uow, row))
    if uow.run(_revoke_id, token_id=token_id, now=uow.now, reason="user-request"):
        _revoked(uow, token_id, row.user_id, "user-request")


def end_own_token(uow: UnitOfWork, actor: Actor) -> None:
    """End the token that the actor uses at this moment: whoever holds one may throw it away, whatever it may do."""
    if actor.token_id is not None and uow.run(_revoke_id, token_id=actor.token_id, now=uow.now, reason="logout"):
        _revoked(uow, actor.token_id, actor.id, "logout")


def _ending(uow: UnitOfWork, row: Row) -> tuple[str, Resource]:
    """What ending a token takes."""
    if row.role_id is not None:
        return "role:set", resource_of(uow, get_role(uow, row.role_id))
    user = get_user(uow, row.user_id)
    holder = ("user", user.id)
    return "token:rm", resource_at(uow, "token", row.id, organization_id=user.organization_id, holder=holder)


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


def future(uow: UnitOfWork, expires_at: int | None) -> int | None:
    """The instant itself. Raises Invalid `bad-expiry` when it has passed."""
    if expires_at is not None and expires_at <= uow.now:
        raise Invalid("the token would have expired already; give a time in the future", code="bad-expiry")
    return expires_at


def _token(row: Row) -> Token:
    return Token(
        id=row.id,
        kind=row.kind,
        access_key=row.access_key,
        label=row.label,
        user_id=row.user_id,
        role_id=row.role_id,
        narrowed=tuple(row.narrowed.split("\n")) if row.narrowed is not None else None,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
