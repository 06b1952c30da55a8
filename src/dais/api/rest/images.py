"""Images: register, list, show, fetch, make, remove; of root directories and of engines' own stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import msgspec

from dais.api.context import Context
from dais.api.images import keeper_of, maker_of, rooted
from dais.api.routing import Reply, Routes
from dais.api.sse import ServerEvent
from dais.compute import (
    NewBuild,
    add_container_image,
    add_image,
    begin_build,
    begin_commit,
    begin_import,
    check_new_image,
    forget_image,
    get_image,
    image_log,
    image_row,
    is_root_group,
    list_images,
    owner_of,
    remove_alias,
    remove_image,
    rescan_store,
    secret_values,
    see_image,
    set_alias,
    source_image,
    store_group,
    store_image_size,
    tree_size,
)
from dais.data import pin_source, source_file
from dais.engines.contract import BuildRequest, ImageProblem, LaunchRefused
from dais.identity import Actor, require, resolve_account
from dais.kit.database import UnitOfWork
from dais.kit.errors import Conflict, Invalid, NotFound, Unavailable
from dais.kit.vault import Vault
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
    name, group = body.name or "", body.group or DEFAULT_GROUP
    await ctx.db.read(check_new_image, ctx.actor, group, name)
    try:
        facts = await rooted(ctx, group).add_root(body.path)
    except LaunchRefused as error:
        raise Invalid(str(error), code="bad-root", path=body.path) from error
    made = await ctx.db.write(add_image, ctx.actor, group, name, body.path, facts)
    return Reply(made, 201, (("Location", f"/v1/images/{made.name}?group={made.group}"),))


@routes.get("/v1/images", summary="List the images", action="image:list")
async def images(ctx: Context) -> answers.Page[answers.Image]:
    """Root directories and container images, the installation's and those of the accounts that you may see."""
    found = await ctx.db.read(list_images, ctx.actor)
    return answers.Page[answers.Image](items=found)


@routes.post("/v1/images/rescan", summary="Look what an engine's store has", action="image:new")
async def rescan(ctx: Context, group: str | None = None) -> answers.Rescanned:
    """For administrators: what is new becomes the installation's, and what is gone is said to be missing."""
    name = await ctx.db.read(store_group, group)
    await ctx.db.read(require, ctx.actor, "image:new", resource_id=f"{name}/")
    found = await keeper_of(ctx, name).store.images()
    return await ctx.db.write(rescan_store, ctx.actor, name, found)  # type: ignore[no-any-return]


@routes.post("/v1/images/build", status=202, summary="Build an image from a Dockerfile", action="image:new")
async def build(ctx: Context, body: NewBuild) -> Reply[answers.Image]:
    """It is built beside this answer: follow its log, or look at its state."""
    group = await ctx.db.read(store_group, body.group)
    await _may_make(ctx, group, body.account, body.name, body.installation)
    maker = maker_of(ctx, group)
    if not await asyncio.to_thread(pin_source, ctx.services.blobs, body.source):
        raise NotFound(f"source {body.source} is not in the blob store; upload it first", code="no-such-source")
    text = await asyncio.to_thread(source_file, ctx.services.blobs, body.source, body.dockerfile)
    if text is None:
        raise Invalid(f"the context has no file {body.dockerfile!r}; name another with --file", code="build-failed")
    secrets = await ctx.db.read(_secrets, ctx.actor, ctx.services.vault, body) if body.secrets else {}
    begun = await ctx.db.write(begin_build, ctx.actor, body, text.decode(errors="replace"))
    request = BuildRequest(
        context="",
        reference=begun.reference,
        dockerfile=body.dockerfile,
        arguments=body.arguments,
        labels=body.labels,
        secrets=secrets,
        cache=body.cache,
        time=body.time,
    )
    maker.build(begun, body.source, request)
    made = await ctx.db.read(see_image, ctx.actor, begun.group, body.account, begun.image_id)
    return Reply(made, 202, (("Location", f"/v1/images/{begun.image_id}?group={begun.group}"),))


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
        await _delete_root(ctx, group or DEFAULT_GROUP, name)
        return
    where = await ctx.db.read(source_image, ctx.actor, group, account, name)
    row = await ctx.db.write(forget_image, ctx.actor, where.group_name, account, where.id)
    if from_store:
        try:
            await keeper_of(ctx, row.group_name).store.remove_image(row.reference)
        except ImageProblem as error:
            raise Conflict(
                f"the catalogue has forgotten {row.name}, and the engine keeps it: {error}", code=error.code
            ) from error


@routes.post("/v1/images/{name}/pull", status=202, summary="Fetch an image to the nodes", action="image:set")
async def pull(ctx: Context, name: str, group: str | None = None, account: str | None = None) -> answers.Image:
    """It is fetched beside this answer: follow it, or look at its state. Also where an older one is there."""
    row = await ctx.db.read(source_image, ctx.actor, group, account, name, "image:set")
    try:
        await keeper_of(ctx, row.group_name).begin(row.id)
    except ImageProblem as error:
        raise Invalid(str(error), code=error.code) from error
    return await ctx.db.read(see_image, ctx.actor, row.group_name, account, row.id)  # type: ignore[no-any-return]


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
            busy = seen.state in ("pulling", "building") or keeper_of(ctx, row.group_name).is_fetching(row.id)
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
async def import_image(
    ctx: Context, name: str, body: NewImport, group: str | None = None, account: str | None = None
) -> answers.Image:
    """The same layers under a name of this installation; it is fetched first if it is not there."""
    source = await ctx.db.read(source_image, ctx.actor, group, account, name)
    await _may_make(ctx, source.group_name, body.account or account, body.name, body.installation)
    maker = maker_of(ctx, source.group_name)
    begun = await ctx.db.write(
        begin_import,
        ctx.actor,
        source,
        body.name,
        body.labels,
        account=body.account or account,
        installation=body.installation,
    )
    maker.relabel(begun, source.id, source.engine_id or source.reference, body.labels)
    return await ctx.db.read(see_image, ctx.actor, begun.group, account, begun.image_id)  # type: ignore[no-any-return]


@routes.post("/v1/jobs/{ref}/commit", status=202, summary="Make an image of a running job", action="job:exec")
async def commit(ctx: Context, ref: str, body: NewCommit, account: str | None = None) -> answers.Image:
    """Of what it has written, without what is mounted in it: the working directory and folders are not in it."""
    begun, work = await ctx.db.write(begin_commit, ctx.actor, ref, body.name, body.labels, account)
    _, handle = ctx.services.compute.running(work)
    maker_of(ctx, begun.group).commit(begun, handle, body.labels)
    return await ctx.db.read(see_image, ctx.actor, begun.group, work.account, begun.image_id)  # type: ignore[no-any-return]


def _secrets(uow: UnitOfWork, actor: Actor, vault: Vault, body: NewBuild) -> dict[str, bytes]:
    return secret_values(uow, actor, vault, resolve_account(uow, actor, body.account), body.secrets)


async def _may_make(ctx: Context, group: str, account: str | None, name: str, installation: bool) -> None:
    """Asked before what the engine and the context have to say."""
    await ctx.db.read(owner_of, ctx.actor, group, account, name, installation=installation)


async def _delete_root(ctx: Context, group: str, name: str) -> None:
    path = await ctx.db.write(remove_image, ctx.actor, group, name)
    if path is not None:
        try:
            await rooted(ctx, group).remove_root(path)
        except LaunchRefused as error:
            raise Unavailable(f"the image is removed, but the node keeps {path}: {error}", code="no-engine") from error
