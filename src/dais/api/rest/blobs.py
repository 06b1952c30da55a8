"""Contents by their digest: for the sources of jobs, and for versioned files.

They belong to no account: whoever may submit any job, or commit any file, may store them. Nobody reads them by their
digest: a job's source is read by the job alone, and a file by those who may read the file.
"""

from __future__ import annotations

from dais.api.context import Context
from dais.api.files import Body, disk
from dais.api.routing import Receive, Routes, Scope, Send, read_body, send_json
from dais.data import BlobStore, store_contents
from dais.identity import listed
from dais.kit.errors import DaisError, Invalid
from dais.wire.transfers import MAX_PACK, Digests, Received, Stored

routes = Routes()

MAX_DIGESTS = 10_000


async def may_submit(ctx: Context) -> None:
    """Raises Forbidden for those who may submit no job anywhere."""
    await ctx.db.glance(listed, ctx.actor, "job:new")


def contents_at(routes: Routes, base: str, action: str, of: str) -> None:
    """Have contents stored below the address `base` by those who may do `action` anywhere."""

    async def may_store(ctx: Context) -> None:
        await ctx.db.glance(listed, ctx.actor, action)

    @routes.post(f"{base}/missing", summary=f"Tell which contents {of} are not stored yet", action=action)
    async def missing(ctx: Context, body: Digests) -> Digests:
        """Those that are stored already are kept for the next 24 hours at least."""
        if len(body.digests) > MAX_DIGESTS:
            raise Invalid(
                f"{len(body.digests):,} digests are too many at once; send at most {MAX_DIGESTS:,}",
                code="too-many-entries",
            )
        await may_store(ctx)
        return Digests(digests=await disk(ctx.services.blobs.missing, body.digests))

    @routes.raw(
        "PUT",
        f"{base}/{{digest}}",
        summary=f"Store a content {of}, whole or a piece of it",
        answer=Received,
        action=action,
    )
    async def store_blob(
        ctx: Context, scope: Scope, receive: Receive, send: Send, digest: str, size: int, offset: int = 0
    ) -> None:
        """The body is the content from `offset` on; `size` is that of the whole. The answer tells how much has come.

        It is stored when all has come and has the digest; storing it twice is the same. A piece that does not follow
        what has come is refused with `wrong-offset` and where to go on (`expected`).
        """
        body = Body(receive)
        try:
            await may_store(ctx)
        except DaisError:
            await body.drain()
            raise
        have = await _store_piece(ctx.services.blobs, body, digest, size, offset)
        await send_json(send, 200, Received(path=digest, offset=have, complete=have == size))

    @routes.raw(
        "POST",
        f"{base}/pack",
        summary=f"Store many small contents {of} at once",
        status=201,
        answer=Stored,
        action=action,
    )
    async def store_pack(ctx: Context, scope: Scope, receive: Receive, send: Send) -> None:
        """The body is a pack; the headers' `size` and `digest` count."""
        data = await read_body(scope, receive, MAX_PACK)
        await may_store(ctx)
        await send_json(send, 201, Stored(entries=await disk(store_contents, ctx.services.blobs, data)))


async def _store_piece(blobs: BlobStore, body: Body, digest: str, size: int, offset: int) -> int:
    """Add what comes to a content; how much there is then."""
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
    return have


contents_at(routes, "/v1/blobs", "job:new", "of sources")
