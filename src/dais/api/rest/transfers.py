"""Contents into and out of folders: packs of small files, large files in pieces, downloads with ranges."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from itertools import islice

import msgspec
from blake3 import blake3

from dais.api.context import Context
from dais.api.decoding import BodyDecoder
from dais.api.errors import HttpProblem
from dais.api.files import CHUNK, Body, disk
from dais.api.routing import Receive, Routes, Scope, Send, read_body, send_json
from dais.data import OpenFile, fetch, get_folder, open_file, write_pack, write_piece
from dais.kit.errors import Conflict, DaisError, Invalid
from dais.wire.transfers import HASHED_RANGE, MAX_PACK, PACK_ENTRIES, PACK_TYPE, Received, Stored

routes = Routes()

_range = re.compile(rb"bytes=(\d{1,18})-(\d{0,18})")


class Paths(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files to fetch in one pack."""

    paths: list[str]


_decode_paths = BodyDecoder(Paths)


@routes.raw("POST", "/v1/folders/{ref}/pack", summary="Upload many small files at once")
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


@routes.raw("PUT", "/v1/folders/{ref}/file", summary="Upload a file, whole or a piece of it")
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


@routes.raw("GET", "/v1/folders/{ref}/file", summary="Download a file, or a range of it")
async def download_file(
    ctx: Context, scope: Scope, receive: Receive, send: Send, ref: str, path: str, account: str | None = None
) -> None:
    """`Range: bytes=FIRST-LAST` asks for a part; `If-Match: "TAG"` refuses with `changed` when the file is another.

    `Dais-Digest` is the digest of what is sent, where that is at most 16 MiB; `ETag` changes with the file.
    """
    folder = await ctx.db.read(get_folder, ctx.actor, ref, account=account, action="data:get")
    opening = open_file(ctx.services.folders, folder.id, path)
    file = await disk(opening.__enter__)
    try:
        headers = dict(scope["headers"])
        wanted = headers.get(b"if-match")
        if wanted is not None and wanted.strip(b'" ') != file.tag.encode():
            raise Conflict("the file is not the one that was asked for any more; begin anew", code="changed")
        start, end = _parse_range(headers.get(b"range"), file.size)
        whole = b"range" not in headers
        head = [
            (b"content-type", b"application/octet-stream"),
            (b"content-length", b"%d" % (end - start)),
            (b"accept-ranges", b"bytes"),
            (b"etag", f'"{file.tag}"'.encode()),
            (b"dais-executable", b"true" if file.executable else b"false"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-disposition", b"attachment"),
        ]
        if not whole:
            head.append((b"content-range", b"bytes %d-%d/%d" % (start, end - 1, file.size)))
        if end - start <= HASHED_RANGE:
            head.append((b"dais-digest", (await disk(_digest, file, start, end)).encode()))
        await send({"type": "http.response.start", "status": 200 if whole else 206, "headers": head})
        await _send_range(send, file, start, end)
    finally:
        opening.__exit__(None, None, None)


@routes.raw("POST", "/v1/folders/{ref}/fetch", summary="Download many small files at once")
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
    pieces = _gathered(fetch(ctx.services.folders, folder.id, wanted.paths))
    try:
        piece = await disk(next, pieces, None)
        head = [(b"content-type", PACK_TYPE.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        while piece is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = await disk(next, pieces, None)
        await send({"type": "http.response.body", "body": b""})
    finally:
        await disk(pieces.close)


def _gathered(entries: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Small pieces put together: each costs a change of threads."""
    while batch := list(islice(entries, 16)):
        yield b"".join(batch)


def _parse_range(header: bytes | None, size: int) -> tuple[int, int]:
    """First byte and the one after the last. Raises HttpProblem 416."""
    if header is None:
        return 0, size
    found = _range.fullmatch(header.strip())
    if found is not None:
        start = int(found[1])
        end = min(int(found[2]) + 1, size) if found[2] else size
        if start < end or start == size == 0:
            return start, end
    raise HttpProblem(
        416,
        "This range is not there",
        f"the file has {size} bytes; ask for one range of them, as bytes=0-{max(size - 1, 0)}",
        code="bad-range",
        headers={"content-range": f"bytes */{size}"},
        size=size,
    )


def _digest(file: OpenFile, start: int, end: int) -> str:
    hasher = blake3()
    while start < end:
        piece = os.pread(file.fd, min(CHUNK, end - start), start)
        if not piece:
            break
        hasher.update(piece)
        start += len(piece)
    return f"blake3:{hasher.hexdigest()}"


async def _send_range(send: Send, file: OpenFile, start: int, end: int) -> None:
    while start < end:
        piece = await disk(os.pread, file.fd, min(CHUNK, end - start), start)
        if not piece:
            raise OSError("the file became shorter while it was sent")
        start += len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
