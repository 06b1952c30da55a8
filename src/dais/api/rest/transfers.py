"""Contents into and out of folders: packs of small files, large files in pieces, downloads with ranges."""

from __future__ import annotations

from functools import partial

import msgspec

from dais.api.bulk import Ticket
from dais.api.context import Context
from dais.api.decoding import BodyDecoder
from dais.api.downloads import attachment, opened_file, send_file, send_pieces
from dais.api.files import Body, disk
from dais.api.routing import Receive, Routes, Scope, Send, read_body, send_json
from dais.data import begin_upload, drop_upload, fetch, get_folder, upload_key, write_pack, write_piece
from dais.kit.errors import DaisError, Invalid
from dais.wire.transfers import MAX_PACK, PACK_ENTRIES, PACK_TYPE, NewUpload, Received, Stored, Upload

routes = Routes()


class Paths(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files to fetch in one pack."""

    paths: list[str]


_decode_paths = BodyDecoder(Paths)


@routes.raw(
    "POST", "/v1/folders/{ref}/pack", summary="Upload many small files at once", answer=Stored, action="data:set"
)
async def upload_pack(
    ctx: Context, scope: Scope, receive: Receive, send: Send, ref: str, account: str | None = None
) -> None:
    """The body is a pack: for each entry 4 bytes of length (big-endian), a JSON header, and the content.

    Headers are `{path, kind: file|directory|link, size, digest, executable, target}`. All entries are checked before
    the first is written; each file is then seen whole or not at all.
    """
    folder = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:set")
    data = await read_body(scope, receive, MAX_PACK)
    entries = await disk(write_pack, ctx.services.folders, folder.id, data)
    await send_json(send, 200, Stored(entries=entries))


@routes.raw(
    "PUT", "/v1/folders/{ref}/file", summary="Upload a file, whole or a piece of it", answer=Received, action="data:set"
)
async def upload_file(
    ctx: Context,
    scope: Scope,
    receive: Receive,
    send: Send,
    ref: str,
    path: str,
    size: int,
    digest: str = "",
    offset: int = 0,
    executable: bool = False,
    upload: str = "",
    account: str | None = None,
) -> None:
    """The body is the content from `offset` on; `size` and `digest` are those of the whole file.

    With the name of an `upload` that was begun the digest may come with the last piece alone, which may be empty. The
    answer tells how much has come. When all has, the file is verified and takes its place at once. A piece that
    does not follow what has come is refused with `wrong-offset` and where to go on (`expected`).
    """
    folder = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:set")
    key = upload_key(path, size, ctx.actor.id, upload) if upload else ""
    write = partial(
        write_piece, ctx.services.folders, folder.id, path, size=size, digest=digest, executable=executable, key=key
    )
    received = Received(path=path, offset=offset, complete=False)
    body = Body(receive)
    try:
        async for chunk in body:
            received = await disk(write, data=chunk, offset=offset)
            offset += len(chunk)
    except DaisError:
        await body.drain()
        raise
    if not received.complete:  # an empty file, or an empty last piece
        received = await disk(write, data=b"", offset=offset)
    await send_json(send, 200, received)


@routes.post("/v1/folders/{ref}/uploads", summary="Begin to upload a large file, or go on", action="data:set")
async def new_upload(ctx: Context, ref: str, body: NewUpload, account: str | None = None) -> Upload:
    """Its content is sent to the listener for bulk data, if `bulk` tells one that can be reached, else in pieces with
    `PUT …/file?upload=NAME`; then the digest of the whole, with an empty piece at its end."""
    folder = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:set")
    key = upload_key(body.path, body.size, ctx.actor.id, body.name)
    begun = await disk(begin_upload, ctx.services.folders, folder.id, key, body.path, body.size, body.executable)
    bulk = ctx.services.parts.bulk
    ticket = Ticket(user=ctx.actor.id, folder=folder.id, key=key, path=body.path, size=body.size)
    place = bulk.place(ticket) if bulk is not None else None
    return Upload(key=key, offset=begun.have, alike=begun.alike, bulk=place)


@routes.delete(
    "/v1/folders/{ref}/uploads/{name}", summary="Forget what has come of a large file", status=204, action="data:set"
)
async def forget_upload(ctx: Context, ref: str, name: str, path: str, size: int, account: str | None = None) -> None:
    """What comes under this name begins anew then. There may have come nothing."""
    folder = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:set")
    await disk(drop_upload, ctx.services.folders, folder.id, upload_key(path, size, ctx.actor.id, name))


@routes.raw("GET", "/v1/folders/{ref}/file", summary="Download a file, or a range of it", action="data:get")
async def download_file(
    ctx: Context, scope: Scope, receive: Receive, send: Send, ref: str, path: str, account: str | None = None
) -> None:
    """`Range: bytes=FIRST-LAST` asks for a part; `If-Match: "TAG"` refuses with `changed` when the file is another.

    `Dais-Digest` is the digest of what is sent, where that is at most 16 MiB; `ETag` changes with the file.
    """
    folder = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:get")
    head = [
        (b"content-type", b"application/octet-stream"),
        (b"content-disposition", attachment(path.rpartition("/")[2])),
    ]
    async with opened_file(ctx.services.folders, folder.id, path) as file:
        await send_file(scope, receive, send, file, head)


@routes.raw("POST", "/v1/folders/{ref}/fetch", summary="Download many small files at once", action="data:get")
async def fetch_files(
    ctx: Context, scope: Scope, receive: Receive, send: Send, ref: str, account: str | None = None
) -> None:
    """The body is `{paths: […]}`, the answer a pack with an entry for each, in order.

    `kind` is `absent` for a file that is gone, `large` for one that must be downloaded alone.
    """
    folder = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:get")
    wanted: Paths = _decode_paths(await read_body(scope, receive, MAX_PACK))
    if len(wanted.paths) > PACK_ENTRIES:
        raise Invalid(
            f"{len(wanted.paths):,} files are too many at once; ask for at most {PACK_ENTRIES:,}",
            code="too-many-entries",
        )
    await send_pieces(
        scope,
        receive,
        send,
        fetch(ctx.services.folders, folder.id, wanted.paths),
        [(b"content-type", PACK_TYPE.encode())],
    )
