"""Registries that images come from, and which of them an organization may use."""

from __future__ import annotations

from typing import Literal

import msgspec

from dais.api.context import Context
from dais.api.registries import check_registry, rescan_registry
from dais.api.routing import Routes
from dais.compute import (
    RegistryChange,
    get_allowed,
    list_registries,
    remove_registry,
    set_allowed,
    set_registry,
)
from dais.wire import answers

routes = Routes()


class NewRegistry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registry: `host[:port]`, as references name it. `insecure`: plain HTTP. `organization` alone may use it."""

    host: str
    kind: Literal["docker-v2", "harbor"] = "docker-v2"
    insecure: bool = False
    username: str = ""
    password: str | None = None
    organization: str = ""


class Hosts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The registries that an organization may use; []: all that are registered for it."""

    hosts: list[str]


@routes.get("/v1/registries", summary="List the registries", action="installation:get")
async def registries(ctx: Context) -> answers.Page[answers.Registry]:
    """For administrators; passwords are never told."""
    return answers.Page[answers.Registry](items=await ctx.db.read(list_registries, ctx.actor))


@routes.post("/v1/registries", status=201, summary="Register a registry", action="installation:set")
async def new_registry(ctx: Context, body: NewRegistry) -> answers.Registry:
    change = RegistryChange(
        kind=body.kind,
        insecure=body.insecure,
        username=body.username,
        password=body.password,
        organization=body.organization,
    )
    vault = ctx.services.vault
    return await ctx.db.write(set_registry, ctx.actor, vault, body.host, change, new=True)  # type: ignore[no-any-return]


@routes.patch("/v1/registries/{host}", summary="Change a registry", action="installation:set")
async def change_registry(ctx: Context, host: str, body: RegistryChange) -> answers.Registry:
    """What is left out stays; a `username` of "" takes the credentials away."""
    return await ctx.db.write(set_registry, ctx.actor, ctx.services.vault, host, body, new=False)  # type: ignore[no-any-return]


@routes.delete("/v1/registries/{host}", summary="Forget a registry", status=204, action="installation:set")
async def delete_registry(ctx: Context, host: str) -> None:
    """Its images that are there stay."""
    await ctx.db.write(remove_registry, ctx.actor, host)


@routes.post("/v1/registries/{host}/check", summary="Ask whether a registry lets us in", action="installation:set")
async def check(ctx: Context, host: str) -> answers.RegistryChecked:
    """Whether it answers and takes the credentials that it was registered with."""
    return await check_registry(ctx.services, ctx.actor, host)


@routes.post("/v1/registries/{host}/rescan", summary="Look what a registry has", action="installation:set")
async def rescan(ctx: Context, host: str, group: str | None = None, match: str = "") -> answers.Rescanned:
    """Its tags become the installation's images of a group; `match` is like `ml/*`. Nothing is fetched."""
    return await rescan_registry(ctx.services, ctx.actor, host, group, match)


@routes.get(
    "/v1/organizations/{name}/registries", summary="The registries of an organization", action="organization:get"
)
async def allowed(ctx: Context, name: str) -> answers.AllowedRegistries:
    """Its own list, and what its jobs may use by it."""
    return await ctx.db.read(get_allowed, ctx.actor, name)  # type: ignore[no-any-return]


@routes.put("/v1/organizations/{name}/registries", summary="Say what registries it may use", action="installation:set")
async def allow(ctx: Context, name: str, body: Hosts) -> answers.AllowedRegistries:
    """An empty list takes its own list away."""
    return await ctx.db.write(set_allowed, ctx.actor, name, body.hosts)  # type: ignore[no-any-return]
