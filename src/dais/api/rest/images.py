"""Images: register, list, show, fetch, make, remove; of root directories and of engines' own stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import msgspec

from dais.api.context import Context
from dais.api.images import (
    add_root_image,
    build_image,
    commit_job,
    forget_container_image,
    import_image,
    keeper_of,
    pull_image,
    remove_root_image,
    rescan_group,
)
from dais.api.routing import Reply, Routes
from dais.api.sse import ServerEvent
from dais.compute import (
    NewBuild,
    add_container_image,
    get_image,
    image_log,
    image_row,
    is_root_group,
    list_images,
    remove_alias,
    see_image,
    set_alias,
    source_image,
    store_group,
    store_image_size,
    tree_size,
)
from dais.kit.errors import Invalid
from dais.wire import answers

routes = Routes()

DEFAULT_GROUP = "default"
POLL_SECONDS = 2.0


class NewImage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A root directory of the group's machines (`path`), or a `reference`, and what it shall be called.

    A reference need not be given a name, and is the account's, or with `installation` everybody's.
    """

    name: str | None = None
    path: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    reference: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    group: str | None = None
    account: str | None = None
    installation: bool = False


class NewAlias(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another name."""

    alias: str


class NewImport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an image with more labels shall be called."""

    name: str
    labels: dict[str, str] = {}
    account: str | None = None
    installation: bool = False


class NewCommit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the image of a running job shall be called."""

    name: str
    labels: dict[str, str] = {}


@routes.post("/v1/images", status=201, summary="Put an image into the catalogue", action="image:new")
async def new_image(ctx: Context, body: NewImage) -> Reply[answers.Image]:
    """A root directory (administrators; the engine checks it), or a reference. Nothing is copied or fetched."""
    if (body.path is None) == (body.reference is None):
        raise Invalid("give either `path` or `reference`", code="bad-image")
    if body.reference is not None:
        group = await ctx.db.read(store_group, body.group)
        made = await ctx.db.write(
            add_container_image,
            ctx.actor,
            group,
            body.reference,
            name=body.name,
            account=body.account,
            installation=body.installation,
        )
        return Reply(made, 201, (("Location", f"/v1/images/{made.id}?group={made.group}"),))
    assert body.path is not None
    made = await add_root_image(ctx.services, ctx.actor, body.group or DEFAULT_GROUP, body.name or "", body.path)
    return Reply(made, 201, (("Location", f"/v1/images/{made.name}?group={made.group}"),))


@routes.get("/v1/images", summary="List the images", action="image:list")
async def images(ctx: Context) -> answers.Page[answers.Image]:
    """Root directories and container images, the installation's and those of the accounts that you may see."""
    found = await ctx.db.read(list_images, ctx.actor)
    return answers.Page[answers.Image](items=found)


@routes.post("/v1/images/rescan", summary="Look what an engine's store has", action="image:new")
async def rescan(ctx: Context, group: str | None = None) -> answers.Rescanned:
    """For administrators: what is new becomes the installation's, and what is gone is said to be missing."""
    return await rescan_group(ctx.services, ctx.actor, group)


@routes.post("/v1/images/build", status=202, summary="Build an image from a Dockerfile", action="image:new")
async def build(ctx: Context, body: NewBuild) -> Reply[answers.Image]:
    """It is built beside this answer: follow its log, or look at its state."""
    made = await build_image(ctx.services, ctx.actor, body)
    return Reply(made, 202, (("Location", f"/v1/images/{made.id}?group={made.group}"),))


@routes.get("/v1/images/{name}", summary="Show an image", action="image:get")
async def image(ctx: Context, name: str, group: str | None = None, account: str | None = None) -> answers.Image:
    """By its name, alias or id. The size of a root directory is counted at the first time."""
    if not await ctx.db.read(is_root_group, group, name):
        return await ctx.db.read(see_image, ctx.actor, group, account, name)  # type: ignore[no-any-return]
    found: answers.Image = await ctx.db.read(get_image, ctx.actor, group or DEFAULT_GROUP, name)
    if found.size is not None:
        return found
    row = await ctx.db.read(image_row, ctx.actor, group or DEFAULT_GROUP, name)
    size = await asyncio.to_thread(tree_size, Path(row.path))
    await ctx.db.write(store_image_size, group or DEFAULT_GROUP, name, size)
    return msgspec.structs.replace(found, size=size)


@routes.delete("/v1/images/{name}", summary="Forget an image", status=204, action="image:rm")
async def delete_image(
    ctx: Context, name: str, group: str | None = None, account: str | None = None, from_store: bool = False
) -> None:
    """Refused with `in-use` while a job of it has not ended. Directories stay; with `from_store` the engine's goes."""
    if await ctx.db.read(is_root_group, group, name):
        await remove_root_image(ctx.services, ctx.actor, group or DEFAULT_GROUP, name)
    else:
        await forget_container_image(ctx.services, ctx.actor, group, account, name, from_store=from_store)


@routes.post("/v1/images/{name}/pull", status=202, summary="Fetch an image to the nodes", action="image:set")
async def pull(ctx: Context, name: str, group: str | None = None, account: str | None = None) -> answers.Image:
    """It is fetched beside this answer: follow it, or look at its state. Also where an older one is there."""
    return await pull_image(ctx.services, ctx.actor, group, account, name)


@routes.events("/v1/images/{name}/progress", summary="Follow how an image is fetched or built", action="image:get")
async def progress(
    ctx: Context, name: str, group: str | None = None, account: str | None = None
) -> AsyncIterator[ServerEvent]:
    """The image (event `image`) whenever it has changed, until it is there, has failed or is missing."""
    row = await ctx.db.read(source_image, ctx.actor, group, account, name)
    last = None
    with ctx.db.hints.subscribe("images") as hint:
        while True:
            seen = await ctx.db.read(see_image, ctx.actor, row.group_name, account, row.id)
            busy = seen.state in ("pulling", "building") or keeper_of(ctx.services, row.group_name).is_fetching(row.id)
            if seen != last:
                last = seen
                yield ServerEvent(seen, "image")
            if not busy:
                return
            await hint.wait(POLL_SECONDS)


@routes.get("/v1/images/{name}/log", summary="What a build printed", action="image:get")
async def log(
    ctx: Context, name: str, group: str | None = None, account: str | None = None, offset: int = 0, wait: bool = False
) -> answers.ImageLog:
    """From the character `offset` on; with `wait`, not before there is more, the build has ended, or seconds passed."""
    with ctx.db.hints.subscribe("images") as hint:
        found: answers.ImageLog = await ctx.db.read(image_log, ctx.actor, group, account, name, offset)
        if wait and not found.text and not found.complete:
            await hint.wait(POLL_SECONDS)
            found = await ctx.db.read(image_log, ctx.actor, group, account, name, offset)
    return found


@routes.post("/v1/images/{name}/aliases", status=201, summary="Give an image another name", action="image:set")
async def new_alias(
    ctx: Context, name: str, body: NewAlias, group: str | None = None, account: str | None = None
) -> answers.Image:
    where = await ctx.db.read(store_group, group)
    return await ctx.db.write(set_alias, ctx.actor, where, account, name, body.alias)  # type: ignore[no-any-return]


@routes.delete("/v1/images/{name}/aliases/{alias}", summary="Take an alias away", action="image:set")
async def delete_alias(
    ctx: Context, name: str, alias: str, group: str | None = None, account: str | None = None
) -> answers.Image:
    where = await ctx.db.read(store_group, group)
    return await ctx.db.write(remove_alias, ctx.actor, where, account, name, alias)  # type: ignore[no-any-return]


@routes.post("/v1/images/{name}/import", status=202, summary="Make an image with more labels", action="image:new")
async def relabel(
    ctx: Context, name: str, body: NewImport, group: str | None = None, account: str | None = None
) -> answers.Image:
    """The same layers under a name of this installation; it is fetched first if it is not there."""
    return await import_image(
        ctx.services,
        ctx.actor,
        (group, account, name),
        body.name,
        body.labels,
        account=body.account or account,
        installation=body.installation,
    )


@routes.post("/v1/jobs/{ref}/commit", status=202, summary="Make an image of a running job", action="job:exec")
async def commit(ctx: Context, ref: str, body: NewCommit, account: str | None = None) -> answers.Image:
    """Of what it has written, without what is mounted in it: the working directory and folders are not in it."""
    return await commit_job(ctx.services, ctx.actor, ref, body.name, body.labels, account)
