"""Streams go on only while their reader may have them: asked again when identities change, and slowly besides."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from dais.api.context import Check, Context
from dais.identity import CHANGED, Actor, present
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Forbidden, NotFound, Unauthenticated

ASK_SECONDS = 10.0
"""How often it is asked without a hint: for tokens that expire, and where another server's hint was lost."""
PAUSE_SECONDS = 0.2
"""The least time between two askings of one stream: identities may change in swarms."""


async def while_allowed(ctx: Context, stream: Awaitable[object]) -> DaisError | None:
    """Await a stream; it is cancelled once its reader may not have it any more, and why is returned."""
    running = asyncio.ensure_future(stream)
    asking = asyncio.ensure_future(_refused(ctx))
    try:
        await asyncio.wait((running, asking), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
            return None
        return asking.result()
    finally:
        for task in (running, asking):
            task.cancel()
        await asyncio.gather(running, asking, return_exceptions=True)


async def _refused(ctx: Context) -> DaisError:
    """Wait until the reader may not go on; why."""
    with ctx.db.hints.subscribe(CHANGED) as hint:
        while True:
            await hint.wait(ASK_SECONDS)
            try:
                await ctx.db.read(_still, ctx.actor, ctx.held)
            except (Unauthenticated, Forbidden, NotFound) as error:
                return error
            except DaisError:
                continue  # the database is away: what cannot be asked is asked again
            await asyncio.sleep(PAUSE_SECONDS)


def _still(uow: UnitOfWork, actor: Actor, held: Sequence[Check]) -> None:
    now = present(uow, actor)
    for check in held:
        check(uow, now)
