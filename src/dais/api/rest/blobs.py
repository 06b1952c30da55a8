"""Contents by their digest, for the sources of jobs."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.files import Body, disk
from dais.api.routing import Receive, Routes, Scope, Send, read_body, send_json
from dais.data import BlobStore, check_digest
from dais.kit.errors import DaisError, Invalid
from dais.wire.transfers import MAX_PACK, Digests, PackError, Stored, unpack

routes = Routes()

MAX_DIGESTS = 10_000


@routes.post("/v1/blobs/missing", summary="Tell which contents are not stored yet")
async def missing(ctx: Context, body: Digests) -> Digests:
    """Those that are stored already are kept for the next 24 hours at least."""
    if len(body.digests) > MAX_DIGESTS:
        raise Invalid(
            f"{len(body.digests):,} digests are too many at once; send at most {MAX_DIGESTS:,}", code="too-many-entries"
        )
    return Digests(digests=await disk(ctx.services.blobs.missing, body.digests))


@routes.raw("PUT", "/v1/blobs/{digest}", summary="Store a content")
async def store_blob(ctx: Context, scope: Scope, receive: Receive, send: Send, digest: str) -> None:
    """The body is the content. It is stored when all has come and has the digest; storing it twice is the same."""
    check_digest(digest)
    writer, body = await disk(ctx.services.blobs.begin), Body(receive)
    try:
        try:
            async for chunk in body:
                await disk(writer.write, chunk)
        except DaisError:
            await body.drain()
            raise
        await disk(writer.commit, digest)
    finally:
        writer.close()
    await send_json(send, 201, Stored(entries=1))


@routes.raw("POST", "/v1/blobs/pack", summary="Store many small contents at once")
async def store_pack(ctx: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """The body is a pack; the headers' `size` and `digest` count."""
    data = await read_body(scope, receive, MAX_PACK)
    await send_json(send, 201, Stored(entries=await disk(_store, ctx.services.blobs, data)))


def _store(blobs: BlobStore, data: bytes) -> int:
    try:
        entries = list(unpack(data))
    except PackError as error:
        raise Invalid(str(error), code="bad-pack") from error
    return len(blobs.put_many([content for _, content in entries], [entry.digest for entry, _ in entries]))
