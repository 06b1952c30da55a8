"""Users: make, change, disable."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.identity import (
    Actor,
    User,
    create_user,
    disable_user,
    enable_user,
    first_password,
    forget_second_factors,
    list_users,
    rename_user,
    resolve_organization,
    resolve_user,
    set_administrator,
    set_user,
    urn,
)
from dais.kit.clock import to_rfc3339
from dais.kit.database import UnitOfWork
from dais.wire import answers, identities

routes = Routes()


class NewUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name or an e-mail address; without a name they are called as the address begins.

    Without an organization they are of the caller's. `administrator`: of the installation. `password` is for signing
    in the first time: they choose another one then.
    """

    name: str | None = None
    email: str | None = None
    full_name: str | None = None
    organization: str | None = None
    administrator: bool = False
    password: str | None = None


class NewPassword(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody signs in with, until they choose another one."""

    password: str


class UserChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; a field left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType = msgspec.UNSET
    full_name: str | msgspec.UnsetType = msgspec.UNSET
    administrator: bool | msgspec.UnsetType = msgspec.UNSET


@routes.get("/v1/users", summary="List the users that you may see", action="user:list")
async def users(
    ctx: Context,
    organization: str | None = None,
    text: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> answers.Page[identities.User]:
    """Those of an organization, or with a text in name or e-mail address."""

    def read(uow: UnitOfWork) -> answers.Page[identities.User]:
        place = resolve_organization(uow, ctx.actor, organization).id if organization is not None else None
        page = list_users(uow, ctx.actor, organization_id=place, text=text, limit=limit, cursor=cursor)
        return answers.Page(items=[_answer(one) for one in page.items], cursor=page.cursor)

    found: answers.Page[identities.User] = await ctx.db.read(read)
    return found


@routes.post("/v1/users", status=201, summary="Make a user, with a personal account", action="user:new")
async def new_user(ctx: Context, body: NewUser) -> identities.User:
    known = (body.name, body.email, body.full_name, body.organization)
    stored = await ctx.services.desk.hash_new(body.password, known) if body.password is not None else None

    def make(uow: UnitOfWork) -> User:
        place = resolve_organization(uow, ctx.actor, body.organization)
        made = create_user(
            uow,
            ctx.actor,
            body.name,
            organization_id=place.id,
            administrator=body.administrator,
            email=body.email,
            full_name=body.full_name,
        )
        if stored is not None:
            first_password(uow, made.id, stored, must_change=True)
        return made

    return _answer(await ctx.db.write(make))


@routes.get("/v1/users/{ref}", summary="Show a user", action="user:get")
async def user(ctx: Context, ref: str) -> identities.User:
    return _answer(await ctx.db.glance(resolve_user, ctx.actor, ref))


@routes.patch("/v1/users/{ref}", summary="Change a user", action="user:set")
async def change_user(ctx: Context, ref: str, body: UserChange) -> identities.User:
    """A personal account is called as its user, and changes its name with theirs."""

    def change(uow: UnitOfWork) -> User:
        found = resolve_user(uow, ctx.actor, ref)
        if body.name is not msgspec.UNSET:
            found = rename_user(uow, ctx.actor, found.id, body.name)
        email = None if body.email is msgspec.UNSET else body.email
        full_name = None if body.full_name is msgspec.UNSET else body.full_name
        if email is not None or full_name is not None:
            found = set_user(uow, ctx.actor, found.id, email=email, full_name=full_name)
        if body.administrator is not msgspec.UNSET:
            found = set_administrator(uow, ctx.actor, found.id, body.administrator)
        return found

    return _answer(await ctx.db.write(change))


@routes.put("/v1/users/{ref}/password", status=204, summary="Set a user's password", action="user:set")
async def set_a_password(ctx: Context, ref: str, body: NewPassword) -> None:
    """They choose another one when they sign in; their sessions end. Not for oneself: the pages ask for the old one."""
    found: User = await ctx.db.read(resolve_user, ctx.actor, ref)
    await ctx.services.desk.set_password(ctx.actor, found.id, body.password)


@routes.delete("/v1/users/{ref}/second-factors", summary="Take a user's second factors away", action="user:set")
async def forget_factors(ctx: Context, ref: str) -> identities.User:
    """For one who has lost their devices; the lock-out goes, too, and their sessions end. Not for oneself."""
    return await _with_user(ctx, ref, forget_second_factors)


@routes.post("/v1/users/{ref}/disable", summary="Let a user in no more", action="user:rm")
async def disable_a_user(ctx: Context, ref: str) -> identities.User:
    """Tokens, sessions and keys that they made end to be good at once; what is theirs stays."""
    return await _with_user(ctx, ref, disable_user)


@routes.post("/v1/users/{ref}/enable", summary="Let a disabled user in again", action="user:rm")
async def enable_a_user(ctx: Context, ref: str) -> identities.User:
    return await _with_user(ctx, ref, enable_user)


async def _with_user(ctx: Context, ref: str, verb: Callable[[UnitOfWork, Actor, str], User]) -> identities.User:
    def change(uow: UnitOfWork) -> User:
        return verb(uow, ctx.actor, resolve_user(uow, ctx.actor, ref).id)

    return _answer(await ctx.db.write(change))


def _answer(user: User) -> identities.User:
    return identities.User(
        id=user.id,
        number=user.number,
        name=user.name,
        urn=urn(user.organization_id, None, "user", user.id),
        organization=user.organization,
        account=f"{user.organization}.{user.name}",
        email=user.email,
        full_name=user.full_name,
        administrator=user.administrator,
        disabled=user.disabled,
        created_at=to_rfc3339(user.created_at),
    )
