"""Keys of users and of roles: bearer tokens, and pairs that sign requests."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.identity import (
    NewPair,
    NewToken,
    Role,
    Token,
    User,
    create_keypair,
    create_role_key,
    create_token,
    list_role_keys,
    list_tokens,
    resolve_role,
    resolve_user,
    resource_at,
    resource_of,
    revoke_token,
    with_ids,
)
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import UnitOfWork
from dais.wire import answers, identities

routes = Routes()

LONGEST = 100 * 366 * 86_400


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It expires after so many seconds (null: never). `allow` are statements that narrow what it may do.

    `pair`: an access key and a secret that signs requests (RFC 9421), instead of a bearer token.
    """

    label: Annotated[str, msgspec.Meta(max_length=128)] | None = None
    expires_in: Annotated[int, msgspec.Meta(ge=1, le=LONGEST)] | None = None
    allow: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)] | None = None
    pair: bool = False


@routes.get("/v1/users/{ref}/keys", summary="List the keys of a user, without their secrets", action="token:list")
async def user_keys(ctx: Context, ref: str) -> answers.Page[identities.Key]:
    """Those that have not been revoked, the newest first."""

    def read(uow: UnitOfWork) -> answers.Page[identities.Key]:
        user = resolve_user(uow, ctx.actor, ref)
        found = list_tokens(uow, ctx.actor, user.id)
        return answers.Page(items=[_answer(_of_user(uow, user, token.id), token) for token in found])

    found: answers.Page[identities.Key] = await ctx.db.read(read)
    return found


@routes.post("/v1/users/{ref}/keys", status=201, summary="Make a key of a user", action="token:new")
async def new_user_key(ctx: Context, ref: str, body: NewKey) -> identities.NewKey:
    """Its secret is told this once. It may do what the user may and, if it is narrowed, `allow` allows, too."""

    def make(uow: UnitOfWork) -> identities.NewKey:
        user = resolve_user(uow, ctx.actor, ref)
        made: NewToken | NewPair
        if body.pair:
            made = create_keypair(uow, ctx.actor, ctx.services.vault, user_id=user.id, **_wanted(uow, ctx, body))
        else:
            made = create_token(uow, ctx.actor, user_id=user.id, **_wanted(uow, ctx, body))
        return _new_answer(uow, "user", _of_user(uow, user, made.id), made, body)

    made: identities.NewKey = await ctx.db.write(make)
    return made


@routes.get("/v1/roles/{ref}/keys", summary="List the keys of a role, without their secrets", action="role:get")
async def role_keys(ctx: Context, ref: str) -> answers.Page[identities.Key]:
    """Those that have not been revoked, the newest first."""

    def read(uow: UnitOfWork) -> answers.Page[identities.Key]:
        role = resolve_role(uow, ctx.actor, ref)
        found = list_role_keys(uow, ctx.actor, role)
        return answers.Page(items=[_answer(resource_of(uow, role).urn, token) for token in found])

    found: answers.Page[identities.Key] = await ctx.db.read(read)
    return found


@routes.post("/v1/roles/{ref}/keys", status=201, summary="Make a key of a role", action="role:set")
async def new_role_key(ctx: Context, ref: str, body: NewKey) -> identities.NewKey:
    """Its secret is told this once. It may do what the role may; what it makes belongs to whoever made the key."""

    def make(uow: UnitOfWork) -> identities.NewKey:
        role: Role = resolve_role(uow, ctx.actor, ref)
        made: NewToken | NewPair
        if body.pair:
            made = create_keypair(uow, ctx.actor, ctx.services.vault, role=role, **_wanted(uow, ctx, body))
        else:
            made = create_role_key(uow, ctx.actor, role, **_wanted(uow, ctx, body))
        return _new_answer(uow, "role", resource_of(uow, role).urn, made, body)

    made: identities.NewKey = await ctx.db.write(make)
    return made


@routes.delete("/v1/keys/{id}", summary="End a key at once", status=204, action=("token:rm", "role:set"))
async def delete_key(ctx: Context, id: str) -> None:  # noqa: A002 (the path's word)
    await ctx.db.write(revoke_token, ctx.actor, id)


def _wanted(uow: UnitOfWork, ctx: Context, body: NewKey) -> dict[str, Any]:
    return {
        "label": body.label,
        "expires_at": uow.now + body.expires_in * SECOND if body.expires_in is not None else None,
        "narrowed": with_ids(uow, ctx.actor, body.allow) if body.allow is not None else None,
    }


def _of_user(uow: UnitOfWork, user: User, token_id: str) -> str:
    holder = ("user", user.id)
    return resource_at(uow, "token", token_id, organization_id=user.organization_id, holder=holder).urn


def _answer(urn: str, token: Token) -> identities.Key:
    return identities.Key(
        id=token.id,
        kind=token.kind,
        urn=urn,
        label=token.label,
        access_key=token.access_key,
        allow=list(token.narrowed) if token.narrowed is not None else None,
        created_at=to_rfc3339(token.created_at),
        expires_at=_instant(token.expires_at),
        last_used_at=_instant(token.last_used_at),
    )


def _new_answer(uow: UnitOfWork, kind: str, urn: str, made: NewToken | NewPair, body: NewKey) -> identities.NewKey:
    access_key = made.access_key if isinstance(made, NewPair) else None
    return identities.NewKey(
        id=made.id,
        kind="pair" if access_key is not None else kind,
        access_key=access_key,
        urn=urn,
        label=body.label,
        allow=body.allow,
        created_at=to_rfc3339(uow.now),
        expires_at=_instant(made.expires_at),
        secret=made.secret if access_key is None else f"{access_key}:{made.secret}",
    )


def _instant(at: int | None) -> str | None:
    return to_rfc3339(at) if at is not None else None
