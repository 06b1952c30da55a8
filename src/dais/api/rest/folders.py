"""Folders: make, list, look, remove; and the names in them."""

from __future__ import annotations

from msgspec.structs import replace

from dais.api.context import Context, Services
from dais.api.files import disk
from dais.api.rest.filesets import set_answer
from dais.api.routing import Reply, Routes
from dais.compute import remove_unused_folder
from dais.data import (
    MAX_PAGE,
    Entry,
    FixedFolder,
    Folder,
    SetVersion,
    check_out,
    compare,
    copy_folder,
    create_folder,
    find_entry,
    fix_folder,
    get_folder,
    list_entries,
    list_folders,
    make_directory,
    measure,
    move_entry,
    publish_folder,
    remove_entries,
    require_seal,
    seal_folder,
    take_folder,
)
from dais.identity import Actor, urn
from dais.kit.clock import to_rfc3339
from dais.kit.errors import Invalid
from dais.kit.ids import new_id
from dais.wire import answers
from dais.wire.lake import SealedFolder
from dais.wire.names import split_version
from dais.wire.transfers import Compared, Comparison, Move, NewDirectory, NewFolder

routes = Routes()

MAX_COMPARISON = 16 << 20
MAX_COMPARED = 5_000


async def make_folder(services: Services, actor: Actor, wanted: NewFolder, folder_id: str) -> Folder:
    """Make a folder's directory, then its row. An upload with the same `staging` that was begun is answered instead."""
    store = services.folders
    await disk(store.create, folder_id)
    made: Folder | None = None
    try:
        made = await services.db.write(
            create_folder, actor, folder_id, wanted.name, account=wanted.account, staging=wanted.staging
        )
        return made
    finally:
        if made is None or made.id != folder_id:
            await disk(store.discard, folder_id)


async def _copied(ctx: Context, wanted: NewFolder, source_ref: str, folder_id: str) -> Folder:
    """Make a folder with the content of another one, which appears all at once."""
    db, store = ctx.db, ctx.services.folders
    fixed: FixedFolder | None = None
    if split_version(source_ref)[1] is not None:
        fixed = await db.read(fix_folder, ctx.actor, source_ref, account=wanted.account)
        source = fixed.folder
    else:
        source = await db.read(get_folder, ctx.actor, source_ref, account=wanted.account, action="data:get")
    begun = await make_folder(ctx.services, ctx.actor, replace(wanted, staging=folder_id, copy_of=None), folder_id)
    published: Folder | None = None
    try:
        if fixed is not None:
            await disk(check_out, store, ctx.services.blobs, fixed.fixed.files, fixed.top, begun.id)
        else:
            await disk(copy_folder, store, source.id, begun.id)
        published = await db.write(publish_folder, ctx.actor, begun.id)
        return published
    finally:
        if published is None:  # its row, which nobody sees, goes with those of uploads that nobody goes on with
            await disk(store.discard, begun.id)


@routes.post("/v1/folders", status=201, summary="Make a folder", action=("data:new", "data:get"))
async def new_folder(ctx: Context, body: NewFolder) -> Reply[answers.Folder]:
    """With `staging` the folder is seen by nobody until it is published, so that a whole tree appears at once.

    200 instead of 201: the upload with this `staging` was begun before, and goes on. With `copy_of` it begins with the
    content of that folder, and the answer comes when all of it is there. A branch of a folder is called `NAME@BRANCH`.
    """
    folder_id = new_id()
    if body.copy_of is not None and body.staging is not None:
        raise Invalid("copy_of and staging exclude each other: an upload begins with nothing", code="bad-staging")
    if body.copy_of is not None:
        made = await _copied(ctx, body, body.copy_of, folder_id)
    else:
        made = await make_folder(ctx.services, ctx.actor, body, folder_id)
    location = (("Location", f"/v1/folders/{made.id}"),)
    return Reply(_answer(made), 201 if made.id == folder_id else 200, location)


@routes.post("/v1/folders/{ref}/publish", summary="Show a folder that was filled while it was made", action="data:new")
async def publish(ctx: Context, ref: str) -> answers.Folder:
    return _answer(await ctx.db.write(publish_folder, ctx.actor, ref))


@routes.post(
    "/v1/folders/{ref}/seal",
    status=201,
    summary="Make a version of a folder",
    action=("data:get", "fileset:new", "file:new"),
)
async def seal(ctx: Context, ref: str, account: str | None = None) -> Reply[SealedFolder]:
    """The next version of the file set that is called as the folder, of the files that are in it, or its branch, now.

    200 instead of 201: the latest version is the same, and is answered. Jobs mount it as `NAME@N`.
    """
    found: Folder = await ctx.db.read(require_seal, ctx.actor, ref, account=account)
    taken = await disk(take_folder, ctx.services.folders, ctx.services.blobs, found.id)
    made: SetVersion = await ctx.db.write(seal_folder, ctx.actor, found.id, taken.files)
    told = SealedFolder(fileset=set_answer(made, state="new" if made.new else "same"), left_out=taken.left_out[:1000])
    return Reply(told, 201 if made.new else 200)


@routes.get("/v1/folders", summary="List folders", action="data:list")
async def folders(
    ctx: Context,
    account: str | None = None,
    match: str = "",
    order: str = "name",
    limit: int = 100,
    cursor: str | None = None,
) -> answers.Page[answers.Folder]:
    """`match` keeps those whose names contain it; `order` is `name` or `created`, with `-` before it downward."""
    page = await ctx.db.read(
        list_folders, ctx.actor, account=account, match=match, order=order, limit=limit, cursor=cursor
    )
    return answers.Page(items=[_answer(folder) for folder in page.items], cursor=page.cursor)


@routes.get("/v1/folders/{ref}", summary="Show a folder", action="data:get")
async def folder(ctx: Context, ref: str, account: str | None = None, measured: bool = False) -> answers.Folder:
    """`ref` is an id, a full name, or a name in `account`. With `measured`, its files and bytes are counted."""
    found = await ctx.db.read(get_folder, ctx.actor, ref, account=account)
    if not measured:
        return _answer(found)
    counted = await disk(measure, ctx.services.folders, found.id)
    return _answer(found, size=counted.size, files=counted.files)


@routes.delete("/v1/folders/{ref}", summary="Remove a folder with all that is in it", status=204, action="data:rm")
async def remove(ctx: Context, ref: str, account: str | None = None) -> None:
    """Refused with `folder-in-use` while a job that has not ended mounts it."""

    removed = await ctx.db.write(remove_unused_folder, ctx.actor, ref, account=account)
    await disk(ctx.services.folders.discard, removed.id)


@routes.get("/v1/folders/{ref}/entries", summary="List what is in a folder", action="data:get")
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
    return answers.Page(items=[_entry(entry) for entry in page.items], cursor=page.cursor)


@routes.delete("/v1/folders/{ref}/entries", summary="Remove what is in a folder", status=204, action="data:set")
async def remove_content(
    ctx: Context, ref: str, path: str, recursive: bool = False, account: str | None = None
) -> None:
    """Removes a file, a link or a directory; one with something in it only with `recursive`. "" empties the folder."""
    found = await ctx.db.write(get_folder, ctx.actor, ref, account=account, action="data:set")  # it is audited
    await disk(remove_entries, ctx.services.folders, found.id, path, recursive=recursive)


@routes.post("/v1/folders/{ref}/directories", summary="Make a directory in a folder", status=201, action="data:set")
async def new_directory(ctx: Context, ref: str, body: NewDirectory, account: str | None = None) -> answers.Entry:
    """Directories above it that are missing are made, too. Refused with `already-there` when something has the path."""
    found = await ctx.db.write(get_folder, ctx.actor, ref, account=account, action="data:set")  # it is audited
    store = ctx.services.folders
    return _entry(await disk(find_entry, store, found.id, await disk(make_directory, store, found.id, body.path)))


@routes.post("/v1/folders/{ref}/move", summary="Give something in a folder another path", action="data:set")
async def move_content(ctx: Context, ref: str, body: Move, account: str | None = None) -> answers.Entry:
    """Moves a file, a link or a directory by one rename. Nothing is replaced: `already-there`."""
    found = await ctx.db.write(get_folder, ctx.actor, ref, account=account, action="data:set")  # it is audited
    store = ctx.services.folders
    return _entry(
        await disk(find_entry, store, found.id, await disk(move_entry, store, found.id, body.source, body.target))
    )


@routes.post(
    "/v1/folders/{ref}/compare",
    summary="Tell which files a folder holds already",
    max_body=MAX_COMPARISON,
    action="data:get",
)
async def compare_files(ctx: Context, ref: str, body: Comparison, account: str | None = None) -> list[Compared]:
    """One answer for each file, in order. With `begun`, `offset` tells how much has come of a large file."""
    if len(body.files) > MAX_COMPARED:
        raise Invalid(
            f"{len(body.files):,} files are too many at once; send at most {MAX_COMPARED:,}", code="too-many-entries"
        )
    found = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:get")
    return await disk(compare, ctx.services.folders, found.id, body.files, begun=body.begun)


def _entry(entry: Entry) -> answers.Entry:
    return answers.Entry(
        path=entry.path,
        kind=entry.kind,
        size=entry.size,
        modified_at=to_rfc3339(entry.modified_at),
        executable=entry.executable,
        target=entry.target,
    )


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
