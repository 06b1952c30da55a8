"""Contents into and out of folders: packs of small files, large files in pieces, downloads with ranges."""

from __future__ import annotations

import msgspec

from dais.api.context import Context
from dais.api.decoding import BodyDecoder
from dais.api.downloads import attachment, opened_file, send_file, send_pieces
from dais.api.files import Body, disk
from dais.api.routing import Receive, Routes, Scope, Send, read_body, send_json
from dais.data import fetch, get_folder, write_pack, write_piece
from dais.kit.errors import DaisError, Invalid
from dais.wire.transfers import MAX_PACK, PACK_ENTRIES, PACK_TYPE, Received, Stored

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
    digest: str,
    offset: int = 0,
    executable: bool = False,
    account: str | None = None,
) -> None:
    """The body is the content from `offset` on; `size` and `digest` are those of the whole file.

    The answer tells how much has come. When all has, the file is verified and takes its place at once. A piece that
    does not follow what has come is refused with `wrong-offset` and where to go on (`expected`).
    """
    folder = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:set")
    received = Received(path=path, offset=offset, complete=False)
    store, body = ctx.services.folders, Body(receive)
    try:
        async for chunk in body:
            received = await disk(
                write_piece,
                store,
                folder.id,
                path,
                chunk,
                offset=offset,
                size=size,
                digest=digest,
                executable=executable,
            )
            offset += len(chunk)
    except DaisError:
        await body.drain()
        raise
    if not received.complete:  # an empty file, or an empty last piece
        received = await disk(
            write_piece, store, folder.id, path, b"", offset=offset, size=size, digest=digest, executable=executable
        )
    await send_json(send, 200, received)


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
