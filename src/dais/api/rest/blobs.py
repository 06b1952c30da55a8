"""Contents by their digest, for the sources of jobs."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.files import Body, disk
from dais.api.routing import Receive, Routes, Scope, Send, read_body, send_json
from dais.data import BlobStore
from dais.identity import listed
from dais.kit.errors import DaisError, Invalid
from dais.wire.transfers import MAX_PACK, Digests, PackError, Received, Stored, unpack

routes = Routes()

MAX_DIGESTS = 10_000


async def may_submit(ctx: Context) -> None:
    """Contents are for the sources of jobs, and belong to no account: whoever may submit any may store them.

    Raises Forbidden. Nobody reads them by their digest: a job's source is read by the job alone.
    """
    await ctx.db.glance(listed, ctx.actor, "job:new")


@routes.post("/v1/blobs/missing", summary="Tell which contents are not stored yet", action="job:new")
async def missing(ctx: Context, body: Digests) -> Digests:
    """Those that are stored already are kept for the next 24 hours at least."""
    if len(body.digests) > MAX_DIGESTS:
        raise Invalid(
            f"{len(body.digests):,} digests are too many at once; send at most {MAX_DIGESTS:,}", code="too-many-entries"
        )
    await may_submit(ctx)
    return Digests(digests=await disk(ctx.services.blobs.missing, body.digests))


@routes.raw(
    "PUT",
    "/v1/blobs/{digest}",
    summary="Store a content, whole or a piece of it",
    answer=Received,
    action="job:new",
)
async def store_blob(
    ctx: Context, scope: Scope, receive: Receive, send: Send, digest: str, size: int, offset: int = 0
) -> None:
    """The body is the content from `offset` on; `size` is that of the whole. The answer tells how much has come.

    It is stored when all has come and has the digest; storing it twice is the same. A piece that does not follow what
    has come is refused with `wrong-offset` and where to go on (`expected`).
    """
    blobs, body = ctx.services.blobs, Body(receive)
    try:
        await may_submit(ctx)
    except DaisError:
        await body.drain()
        raise
    have = offset
    try:
        async for chunk in body:
            have = await disk(blobs.put_piece, digest, chunk, offset=offset, size=size)
            offset += len(chunk)
    except DaisError:
        await body.drain()
        raise
    if have < size or size == 0:
        have = await disk(blobs.put_piece, digest, b"", offset=offset, size=size)
    await send_json(send, 200, Received(path=digest, offset=have, complete=have == size))


@routes.raw(
    "POST",
    "/v1/blobs/pack",
    summary="Store many small contents at once",
    status=201,
    answer=Stored,
    action="job:new",
)
async def store_pack(ctx: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """The body is a pack; the headers' `size` and `digest` count."""
    data = await read_body(scope, receive, MAX_PACK)
    await may_submit(ctx)
    await send_json(send, 201, Stored(entries=await disk(_store, ctx.services.blobs, data)))


def _store(blobs: BlobStore, data: bytes) -> int:
    try:
        entries = list(unpack(data))
    except PackError as error:
        raise Invalid(str(error), code="bad-pack") from error
    return len(blobs.put_many([content for _, content in entries], [entry.digest for entry, _ in entries]))
