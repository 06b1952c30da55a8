"""Roles, and who can assume them."""

from __future__ import annotations

from typing import Literal

import msgspec

from dais.api.context import Context
from dais.api.rest.members import Members, NewMember, named, shown
from dais.api.routing import Routes
from dais.identity import (
    Member,
    Role,
    add_role_member,
    create_role,
    list_roles,
    remove_role,
    remove_role_member,
    rename_role,
    resolve_parent,
    resolve_role,
    resource_of,
    role_members,
)
from dais.kit.database import UnitOfWork
from dais.kit.paging import Page
from dais.wire import answers, identities

routes = Routes()

ParentType = Literal["organization", "account", "team"]


class NewRole(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A full name, as `acme.lab.job_access`: it begins with the organization, account or team that it is attached to.

    A name alone is one of the caller's organization. `parent_type` tells an account from a team of the same name.
    """

    name: str
    parent_type: ParentType | None = None


class RoleChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; a field left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET


@routes.get("/v1/roles", summary="List the roles that you may see", action="role:list")
async def roles(
    ctx: Context,
    parent_type: ParentType | None = None,
    parent: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> answers.Page[identities.Role]:
    """All, those of one type of parent, or those of one parent."""

    def read(uow: UnitOfWork) -> answers.Page[identities.Role]:
        kind, parent_id = (
            resolve_parent(uow, ctx.actor, parent, parent_type) if parent is not None else (parent_type, None)
        )
        page = list_roles(uow, ctx.actor, parent_type=kind, parent_id=parent_id, limit=limit, cursor=cursor)
        return answers.Page(items=[_answer(uow, role) for role in page.items], cursor=page.cursor)

    found: answers.Page[identities.Role] = await ctx.db.read(read)
    return found


@routes.post("/v1/roles", status=201, summary="Make a role, without policies", action="role:new")
async def new_role(ctx: Context, body: NewRole) -> identities.Role:
    def make(uow: UnitOfWork) -> identities.Role:
        parent, _, name = body.name.rpartition(".")
        kind, parent_id = resolve_parent(uow, ctx.actor, parent, body.parent_type)
        return _answer(uow, create_role(uow, ctx.actor, kind, parent_id, name))

    made: identities.Role = await ctx.db.write(make)
    return made


@routes.get("/v1/roles/{ref}", summary="Show a role", action="role:get")
async def role(ctx: Context, ref: str, parent_type: ParentType | None = None) -> identities.Role:
    """With a type of parent only a role of one."""
    found: identities.Role = await ctx.db.read(lambda uow: _answer(uow, resolve_role(uow, ctx.actor, ref, parent_type)))
    return found


@routes.patch("/v1/roles/{ref}", summary="Change a role", action="role:set")
async def change_role(ctx: Context, ref: str, body: RoleChange) -> identities.Role:
    def change(uow: UnitOfWork) -> identities.Role:
        found = resolve_role(uow, ctx.actor, ref)
        if body.name is not msgspec.UNSET:
            found = rename_role(uow, ctx.actor, found, body.name)
        return _answer(uow, found)

    changed: identities.Role = await ctx.db.write(change)
    return changed


@routes.delete(
    "/v1/roles/{ref}", summary="Remove a role, with its policies, members and keys", status=204, action="role:rm"
)
async def delete_role(ctx: Context, ref: str) -> None:
    await ctx.db.write(lambda uow: remove_role(uow, ctx.actor, resolve_role(uow, ctx.actor, ref)))


@routes.get("/v1/roles/{ref}/members", summary="List who can assume a role directly", action="role:get")
async def list_role_members(ctx: Context, ref: str, limit: int = 100, cursor: str | None = None) -> Members:
    def read(uow: UnitOfWork) -> Page[Member]:
        found = resolve_role(uow, ctx.actor, ref)
        return role_members(uow, ctx.actor, found, limit=limit, cursor=cursor)

    return shown(await ctx.db.read(read))


@routes.post(
    "/v1/roles/{ref}/members", status=204, summary="Let a user, or a team's members, assume a role", action="role:set"
)
async def new_role_member(ctx: Context, ref: str, body: NewMember) -> None:
    """Adding twice is the same as once."""

    def add(uow: UnitOfWork) -> None:
        found = resolve_role(uow, ctx.actor, ref)
        add_role_member(uow, ctx.actor, found, **named(uow, ctx.actor, body.user, body.team))

    await ctx.db.write(add)


@routes.delete(
    "/v1/roles/{ref}/members", status=204, summary="Let a user, or a team, assume a role no more", action="role:set"
)
async def delete_role_member(ctx: Context, ref: str, user: str | None = None, team: str | None = None) -> None:
    def remove(uow: UnitOfWork) -> None:
        found = resolve_role(uow, ctx.actor, ref)
        remove_role_member(uow, ctx.actor, found, **named(uow, ctx.actor, user, team))

    await ctx.db.write(remove)


def _answer(uow: UnitOfWork, role: Role) -> identities.Role:
    return identities.Role(
        id=role.id,
        name=role.name,
        full_name=role.full_name,
        urn=resource_of(uow, role).urn,
        organization=role.full_name.partition(".")[0],
        parent=role.full_name.rpartition(".")[0],
        parent_type=role.parent_type,
        predefined=role.predefined,
    )
