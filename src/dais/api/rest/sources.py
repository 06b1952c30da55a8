"""Sources: the directories that jobs were submitted with."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.files import disk
from dais.api.rest.blobs import may_submit
from dais.api.routing import Routes
from dais.data import store_source
from dais.wire.transfers import Source, SourceManifest

routes = Routes()

MAX_MANIFEST = 64 << 20
"""Bytes of a manifest: some hundred thousand files."""


@routes.post(
    "/v1/sources", status=201, summary="Store the manifest of a source", max_body=MAX_MANIFEST, action="job:new"
)
async def new_source(ctx: Context, body: SourceManifest) -> Source:
    """Its contents must be stored already, else it is refused with `blobs-missing`. Its digest is a job's `source`."""
    await may_submit(ctx)
    return await disk(store_source, ctx.services.blobs, body)
