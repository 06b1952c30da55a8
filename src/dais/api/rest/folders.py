"""Folders: make, list, look, remove; and the names in them."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.files import disk
from dais.api.routing import Reply, Routes
from dais.compute import jobs_mounting
from dais.data import (
    MAX_PAGE,
    Folder,
    compare,
    create_folder,
    get_folder,
    list_entries,
    list_folders,
    measure,
    publish_folder,
    remove_entries,
    remove_folder,
)
from dais.identity import urn
from dais.kit.clock import to_rfc3339
from dais.kit.database import UnitOfWork
from dais.kit.errors import Conflict, Invalid
from dais.kit.ids import new_id
from dais.wire import answers
from dais.wire.transfers import Compared, Comparison, NewFolder

routes = Routes()

MAX_COMPARISON = 16 << 20
MAX_COMPARED = 5_000


@routes.post("/v1/folders", status=201, summary="Make a folder")
async def new_folder(ctx: Context, body: NewFolder) -> Reply[answers.Folder]:
    """With `staging` the folder is seen by nobody until it is published, so that a whole tree appears at once.

    200 instead of 201: the upload with this `staging` was begun before, and goes on.
    """
    store, folder_id = ctx.services.folders, new_id()
    await disk(store.create, folder_id)
    made: Folder | None = None
    try:
        made = await ctx.db.write(
            create_folder, ctx.actor, folder_id, body.name, account=body.account, staging=body.staging
        )
    finally:
        if made is None or made.id != folder_id:
            await disk(store.discard, folder_id)
    location = (("Location", f"/v1/folders/{made.id}"),)
    return Reply(_answer(made), 201 if made.id == folder_id else 200, location)


@routes.post("/v1/folders/{ref}/publish", summary="Show a folder that was filled while it was made")
async def publish(ctx: Context, ref: str) -> answers.Folder:
    return _answer(await ctx.db.write(publish_folder, ctx.actor, ref))


@routes.get("/v1/folders", summary="List folders")
async def folders(
    ctx: Context, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> answers.Page[answers.Folder]:
    page = await ctx.db.read(list_folders, ctx.actor, account=account, limit=limit, cursor=cursor)
    return answers.Page(items=[_answer(folder) for folder in page.items], cursor=page.cursor)


@routes.get("/v1/folders/{ref}", summary="Show a folder")
async def folder(ctx: Context, ref: str, account: str | None = None, measured: bool = False) -> answers.Folder:
    """`ref` is an id, a full name, or a name in `account`. With `measured`, its files and bytes are counted."""
    found = await ctx.db.read(get_folder, ctx.actor, ref, account=account)
    if not measured:
        return _answer(found)
    counted = await disk(measure, ctx.services.folders, found.id)
    return _answer(found, size=counted.size, files=counted.files)


@routes.delete("/v1/folders/{ref}", summary="Remove a folder with all that is in it", status=204)
async def remove(ctx: Context, ref: str, account: str | None = None) -> None:
    """Refused with `folder-in-use` while a job that has not ended mounts it."""

    def verb(uow: UnitOfWork) -> Folder:
        removed = remove_folder(uow, ctx.actor, ref, account=account)
        users = jobs_mounting(uow, removed.id)
        if users:
            raise Conflict(
                f"{len(users)} {'job mounts' if len(users) == 1 else 'jobs mount'} {removed.full_name} and "
                f"{'has' if len(users) == 1 else 'have'} not ended; wait for {users[0]}, or kill it",
                code="folder-in-use",
                jobs=users,
            )
        return removed

    removed = await ctx.db.write(verb)
    await disk(ctx.services.folders.discard, removed.id)


@routes.get("/v1/folders/{ref}/entries", summary="List what is in a folder")
async def entries(
    ctx: Context,
    ref: str,
    path: str = "",
    recursive: bool = False,
    account: str | None = None,
    limit: int = 1_000,
    cursor: str | None = None,
) -> answers.Page[answers.Entry]:
    """The names in the directory `path` ("": the root), or with `recursive` all below it; a file lists itself."""
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid(f"limit {limit} is not from 1 to {MAX_PAGE}", code="bad-limit", limit=limit)
    found = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:get")
    page = await disk(
        list_entries, ctx.services.folders, found.id, path, recursive=recursive, limit=limit, cursor=cursor
    )
    items = [
        answers.Entry(
            path=entry.path,
            kind=entry.kind,
            size=entry.size,
            modified_at=to_rfc3339(entry.modified_at),
            executable=entry.executable,
            target=entry.target,
        )
        for entry in page.items
    ]
    return answers.Page(items=items, cursor=page.cursor)


@routes.delete("/v1/folders/{ref}/entries", summary="Remove what is in a folder", status=204)
async def remove_content(
    ctx: Context, ref: str, path: str, recursive: bool = False, account: str | None = None
) -> None:
    """Removes a file, a link or a directory; one with something in it only with `recursive`. "" empties the folder."""
    found = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:set")
    await disk(remove_entries, ctx.services.folders, found.id, path, recursive=recursive)


@routes.post("/v1/folders/{ref}/compare", summary="Tell which files a folder holds already", max_body=MAX_COMPARISON)
async def compare_files(ctx: Context, ref: str, body: Comparison, account: str | None = None) -> list[Compared]:
    """One answer for each file, in order. With `begun`, `offset` tells how much has come of a large file."""
    if len(body.files) > MAX_COMPARED:
        raise Invalid(
            f"{len(body.files):,} files are too many at once; send at most {MAX_COMPARED:,}", code="too-many-entries"
        )
    found = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:get")
    return await disk(compare, ctx.services.folders, found.id, body.files, begun=body.begun)


def _answer(folder: Folder, *, size: int | None = None, files: int | None = None) -> answers.Folder:
    return answers.Folder(
        id=folder.id,
        name=folder.name,
        full_name=folder.full_name,
        urn=urn(folder.organization_id, folder.account_id, "data", folder.id),
        account=folder.account,
        account_id=folder.account_id,
        owner=folder.owner,
        created_at=to_rfc3339(folder.created_at),
        size=size,
        files=files,
    )
