"""Versioned files: commit, list, look, download, remove."""

from __future__ import annotations

from dais.api.bulk import CONTENTS, Ticket
from dais.api.context import Context
from dais.api.decoding import BodyDecoder
from dais.api.downloads import attachment, send_file, send_pieces
from dais.api.files import disk
from dais.api.rest.blobs import contents_at
from dais.api.routing import Receive, Routes, Scope, Send, read_body
from dais.compute import remove_unused_file
from dais.data import (
    Directory,
    LakeFile,
    check_contents,
    commit_files,
    get_file,
    get_files,
    list_directory_files,
    list_file_versions,
    open_content,
    pack_contents,
    same_files,
)
from dais.identity import listed
from dais.kit.clock import to_rfc3339
from dais.kit.errors import Invalid
from dais.wire import answers
from dais.wire.lake import (
    MAX_COMMIT,
    Commit,
    Committed,
    FileRef,
    FileVersion,
    LakeEntry,
    Recipe,
    Removed,
    Wanted,
    parse_file,
)
from dais.wire.paths import PathError
from dais.wire.transfers import PACK_ENTRIES, PACK_TYPE, BulkOffer, Received

routes = Routes()
contents_at(routes, "/v1/contents", "file:new", "of files")

MAX_COMMIT_BODY = 64 << 20
MAX_WANTED = 16 << 20
_decode_wanted = BodyDecoder(Wanted)


@routes.post(
    "/v1/contents",
    status=201,
    summary="Keep a large content as the chunks that make it",
    max_body=MAX_COMMIT_BODY,
    action="file:new",
)
async def new_recipe(ctx: Context, body: Recipe) -> Received:
    """The chunks must be stored already, else it is refused with `blobs-missing`.

    All of it is read before it is accepted: what does not have the digest is refused with `digest-mismatch`.
    """
    await ctx.db.glance(listed, ctx.actor, "file:new")
    await disk(ctx.services.blobs.put_recipe, body)
    return Received(path=body.digest, offset=body.size, complete=True)


@routes.post("/v1/contents/bulk", summary="Tell where else packs of contents can be sent", action="file:new")
async def bulk_place(ctx: Context) -> BulkOffer:
    """The listener for bulk data takes `POST /v1/contents/pack` with this ticket, at twice the speed of the API."""
    await ctx.db.glance(listed, ctx.actor, "file:new")
    bulk = ctx.services.parts.bulk
    return BulkOffer(bulk=None if bulk is None else bulk.place(Ticket(user=ctx.actor.id, key=CONTENTS)))


@routes.post("/v1/files", status=201, summary="Commit versions of files", max_body=MAX_COMMIT_BODY, action="file:new")
async def commit(ctx: Context, body: Commit) -> answers.Page[Committed]:
    """All of them or none. The contents must be stored already, else it is refused with `blobs-missing`.

    A file whose latest version is the same gets none, unless `always` is said.
    """
    if len(body.files) > MAX_COMMIT:
        raise Invalid(f"{len(body.files):,} files are too many; commit at most {MAX_COMMIT:,}", code="bad-commit")
    await ctx.db.glance(listed, ctx.actor, "file:new")
    same = {} if body.always else await ctx.db.read(same_files, ctx.actor, body.account, body.files)
    digests = [file.digest for file in body.files]
    if len(same) == len(digests) and not await disk(ctx.services.blobs.absent, digests):  # nothing to write
        done = [same[file.path] for file in body.files]
    else:
        await disk(check_contents, ctx.services.blobs, body.files)
        done = await ctx.db.write(commit_files, ctx.actor, body.account, body.files, always=body.always)
    items = [
        Committed(path=one.path, version=one.version, state="new" if one.new else "same", id=one.id) for one in done
    ]
    return answers.Page(items=items)


@routes.get("/v1/files", summary="List a directory of files", action="file:list")
async def directory(
    ctx: Context,
    path: str = "/",
    account: str | None = None,
    recursive: bool = False,
    limit: int = 100,
    cursor: str | None = None,
) -> answers.Page[LakeEntry]:
    """Directories first, then files with their latest versions; `recursive` lists all files below it."""
    page = await ctx.db.read(
        list_directory_files, ctx.actor, path, account=account, recursive=recursive, limit=limit, cursor=cursor
    )
    return answers.Page(items=[_entry(one) for one in page.items], cursor=page.cursor)


@routes.delete("/v1/files", summary="Remove a file, or a version of it", action="file:rm")
async def remove(ctx: Context, path: str, account: str | None = None) -> Removed:
    """`path` is a file, or with `:VERSION` one version. What a file set holds is refused with `in-use`."""
    return Removed(name=path, versions=await ctx.db.write(remove_unused_file, ctx.actor, path, account=account))


@routes.get("/v1/files/versions", summary="List the versions of a file", action="file:get")
async def versions(
    ctx: Context, path: str, account: str | None = None, limit: int = 100, cursor: str | None = None
) -> answers.Page[FileVersion]:
    """The newest first."""
    page = await ctx.db.read(list_file_versions, ctx.actor, path, account=account, limit=limit, cursor=cursor)
    return answers.Page(items=[file_answer(file) for file in page.items], cursor=page.cursor)


@routes.post("/v1/files/resolve", summary="Tell which versions are meant", max_body=MAX_WANTED, action="file:get")
async def resolve(ctx: Context, body: Wanted) -> answers.Page[FileVersion]:
    """The versions of `/a` (the latest) and `/a:3`, in order."""
    found: list[LakeFile] = await ctx.db.read(get_files, ctx.actor, _refs(body), account=body.account)
    return answers.Page(items=[file_answer(file) for file in found])


@routes.raw("GET", "/v1/files/content", summary="Download a version of a file, or a range of it", action="file:get")
async def content(
    ctx: Context, scope: Scope, receive: Receive, send: Send, path: str, account: str | None = None
) -> None:
    """`Range: bytes=FIRST-LAST` asks for a part; `ETag` is the content's digest.

    `Dais-Digest` is the digest of what is sent, where that is at most 16 MiB.
    """
    file = await ctx.db.read(get_file, ctx.actor, path, account=account)
    head = [
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", attachment(file.path.rpartition("/")[2])),
        (b"dais-version", b"%d" % file.version),
    ]
    opening = open_content(ctx.services.blobs, file)
    opened = await disk(opening.__enter__)
    try:
        await send_file(scope, receive, send, opened, head)
    finally:
        opening.__exit__(None, None, None)


@routes.raw("POST", "/v1/files/fetch", summary="Download many small files at once", action="file:get")
async def fetch(ctx: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """The body is `{files: […], account}`, the answer a pack with an entry for each, in order.

    `kind` is `large` for a file that must be downloaded alone.
    """
    wanted: Wanted = _decode_wanted(await read_body(scope, receive, MAX_WANTED))
    if len(wanted.files) > PACK_ENTRIES:
        raise Invalid(
            f"{len(wanted.files):,} files are too many at once; ask for at most {PACK_ENTRIES:,}",
            code="too-many-entries",
        )
    found = await ctx.db.read(get_files, ctx.actor, _refs(wanted), account=wanted.account)
    head = [(b"content-type", PACK_TYPE.encode())]
    await send_pieces(scope, receive, send, pack_contents(ctx.services.blobs, found), head)


def file_answer(file: LakeFile) -> FileVersion:
    """A version as the API tells it."""
    return FileVersion(
        id=file.id,
        path=file.path,
        version=file.version,
        digest=file.digest,
        size=file.size,
        executable=file.executable,
        created_by=file.created_by,
        created_at=to_rfc3339(file.created_at),
    )


def _entry(one: LakeFile | Directory) -> LakeEntry:
    if isinstance(one, Directory):
        return LakeEntry(path=one.path, is_dir=True)
    return LakeEntry(
        path=one.path,
        is_dir=False,
        version=one.version,
        size=one.size,
        digest=one.digest,
        created_by=one.created_by,
        created_at=to_rfc3339(one.created_at),
    )


def _refs(wanted: Wanted) -> list[FileRef]:
    if len(wanted.files) > MAX_COMMIT:
        raise Invalid(f"{len(wanted.files):,} files are too many; ask for at most {MAX_COMMIT:,}", code="bad-commit")
    try:
        return [parse_file(text) for text in wanted.files]
    except PathError as error:
        raise Invalid(str(error), code=error.code, path=error.path[:200]) from error
