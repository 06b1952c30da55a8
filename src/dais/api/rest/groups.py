"""Resource groups: attach an engine, list, show, change, detach."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.groups import attach_group, change_group, check_engine, detach_group
from dais.api.routing import Reply, Routes
from dais.compute import get_group, list_groups
from dais.wire import answers
from dais.wire.groups import EngineCheck, Group, GroupChange, NewGroup

routes = Routes()


@routes.get("/v1/groups", summary="List the resource groups, with what is free in them", action="group:list")
async def groups(ctx: Context) -> answers.Page[Group]:
    found = await ctx.db.read(list_groups, ctx.actor)
    return answers.Page[Group](items=found)


@routes.post("/v1/groups", status=201, summary="Attach an engine as a resource group", action="group:new")
async def new_group(ctx: Context, body: NewGroup) -> Reply[Group]:
    """For administrators. The engine is checked, and opened at once; `engine-not-usable` has what is missing."""
    made = await attach_group(ctx.services, ctx.actor, body)
    return Reply(made, 201, (("Location", f"/v1/groups/{made.name}"),))


@routes.post("/v1/groups/check", summary="Tell whether an engine could be attached", action="group:new")
async def check(ctx: Context, body: NewGroup) -> EngineCheck:
    """The same as attaching it, except that nothing is changed: every finding, and what mends what is missing."""
    return await check_engine(ctx.services, ctx.actor, body)


@routes.get("/v1/groups/{name}", summary="Show a resource group", action="group:get")
async def group(ctx: Context, name: str) -> Group:
    found: Group = await ctx.db.read(get_group, ctx.actor, name)
    return found


@routes.patch("/v1/groups/{name}", summary="Change a resource group", action="group:set")
async def set_group(ctx: Context, name: str, body: GroupChange) -> Group:
    """Options that are null are as by default again. With other options the engine is opened anew; jobs go on."""
    return await change_group(ctx.services, ctx.actor, name, body)


@routes.delete("/v1/groups/{name}", summary="Detach a resource group", status=204, action="group:rm")
async def delete_group(ctx: Context, name: str, lost: bool = False) -> None:
    """Refused with `in-use` while a job of it has not ended. Jobs that have ended keep their logs.

    `lost`: where its engine cannot be reached, and never will be, what it runs counts as lost, and what waits is
    cancelled.
    """
    await detach_group(ctx.services, ctx.actor, name, lost=lost)
