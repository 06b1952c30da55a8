"""Images: register a root directory, list, show, remove."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec

from dais.api.context import Context
from dais.api.routing import Reply, Routes
from dais.compute import (
    add_image,
    check_new_image,
    get_image,
    image_row,
    list_images,
    remove_image,
    store_image_size,
    tree_size,
)
from dais.engines.contract import LaunchRefused, Rooted
from dais.kit.errors import Invalid, Unavailable
from dais.wire import answers

routes = Routes()

DEFAULT_GROUP = "default"


class NewImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A root directory of the group's machines, and what it shall be called."""

    name: str
    path: Annotated[str, msgspec.Meta(max_length=4096)]
    group: str = DEFAULT_GROUP


@routes.post(
    "/v1/images", status=201, summary="Register a root directory of the machines as an image", action="image:new"
)
async def new_image(ctx: Context, body: NewImage) -> Reply[answers.Image]:
    """For administrators. The engine checks the directory; nothing is copied."""
    await ctx.db.read(check_new_image, ctx.actor, body.group, body.name)
    try:
        facts = await _rooted(ctx, body.group).add_root(body.path)
    except LaunchRefused as error:
        raise Invalid(str(error), code="bad-root", path=body.path) from error
    made = await ctx.db.write(add_image, ctx.actor, body.group, body.name, body.path, facts)
    return Reply(made, 201, (("Location", f"/v1/images/{made.name}?group={made.group}"),))


@routes.get("/v1/images", summary="List the images", action="image:list")
async def images(ctx: Context) -> answers.Page[answers.Image]:
    found = await ctx.db.read(list_images, ctx.actor)
    return answers.Page[answers.Image](items=found)


@routes.get("/v1/images/{name}", summary="Show an image", action="image:get")
async def image(ctx: Context, name: str, group: str = DEFAULT_GROUP) -> answers.Image:
    """Its size is counted at the first time."""
    found: answers.Image = await ctx.db.read(get_image, ctx.actor, group, name)
    if found.size is not None:
        return found
    row = await ctx.db.read(image_row, ctx.actor, group, name)
    size = await asyncio.to_thread(tree_size, Path(row.path))
    await ctx.db.write(store_image_size, group, name, size)
    return msgspec.structs.replace(found, size=size)


@routes.delete("/v1/images/{name}", summary="Forget an image; its directory stays", status=204, action="image:rm")
async def delete_image(ctx: Context, name: str, group: str = DEFAULT_GROUP) -> None:
    """Refused with `in-use` while a job of it has not ended."""
    path = await ctx.db.write(remove_image, ctx.actor, group, name)
    if path is not None:
        try:
            await _rooted(ctx, group).remove_root(path)
        except LaunchRefused as error:
            raise Unavailable(f"the image is removed, but the node keeps {path}: {error}", code="no-engine") from error


def _rooted(ctx: Context, group: str) -> Rooted:
    engine: object = ctx.services.engines.get(group)
    if not isinstance(engine, Rooted):
        raise Unavailable(f"the engine of group {group} cannot start from root directories", code="no-root-images")
    return engine
