"""Environments: list, show, read the build's log, remove."""

from __future__ import annotations

import asyncio
import shutil

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import (
    Position,
    Shipped,
    decode_segments,
    environment_row,
    get_environment,
    list_environments,
    remove_environment,
)
from dais.wire import answers

routes = Routes()


class BuildLog(msgspec.Struct, frozen=True, kw_only=True):
    """What the builder said so far; `complete` when it has ended."""

    text: str
    complete: bool


@routes.get("/v1/environments", summary="List the organization's environments", action="environment:list")
async def environments(ctx: Context) -> answers.Page[answers.Environment]:
    found = await ctx.db.read(list_environments, ctx.actor)
    return answers.Page[answers.Environment](items=found)


@routes.get("/v1/environments/{id}", summary="Show an environment", action="environment:get")
async def environment(ctx: Context, id: str) -> answers.Environment:  # noqa: A002 (the path's word)
    found: answers.Environment = await ctx.db.read(get_environment, ctx.actor, id)
    return found


@routes.get("/v1/environments/{id}/log", summary="What the builder of an environment said", action="environment:get")
async def log(ctx: Context, id: str) -> BuildLog:  # noqa: A002 (the path's word)
    row = await ctx.db.read(environment_row, ctx.actor, id)
    text = bytearray()
    if row.log_segments is not None:
        segments = decode_segments(row.log_segments)
        shipped, position = Shipped(ctx.services.blobs), Position(0)
        while True:
            chunk = await asyncio.to_thread(shipped.read, segments, position, 4 << 20)
            text += b"".join(frame.data for frame in chunk.frames)
            if chunk.eof:
                break
            segment, offset = chunk.cursor.split(":")
            position = Position(0, False, int(segment), int(offset))
    elif row.handle is not None:
        cursor: str | None = None
        handle = msgspec.json.decode(row.handle)
        for engine in ctx.services.engines.values():
            while True:
                live = await engine.logs(handle, cursor, limit=4 << 20)
                text += b"".join(frame.data for frame in live.frames)
                if live.eof or not live.frames:
                    break
                cursor = live.cursor
    return BuildLog(text=text.decode(errors="replace"), complete=row.state != "BUILDING")


@routes.delete(
    "/v1/environments/{id}", summary="Remove an environment that no job uses", status=204, action="environment:rm"
)
async def delete_environment(ctx: Context, id: str) -> None:  # noqa: A002 (the path's word)
    await ctx.db.write(remove_environment, ctx.actor, id)
    await asyncio.to_thread(shutil.rmtree, ctx.services.data_dir / "envs" / id, ignore_errors=True)
