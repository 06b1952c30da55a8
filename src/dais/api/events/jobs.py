"""`GET /v1/jobs/{ref}/events`: what happens to one job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from dais.api.context import Context
from dais.api.events.stream import follow, resume_from
from dais.api.routing import Header, Routes
from dais.api.sse import ServerEvent
from dais.compute import find_job

routes = Routes()


@routes.events("/v1/jobs/{ref}/events", summary="Follow what happens to a job", action="job:get")
async def follow_job(
    ctx: Context,
    ref: str,
    account: str | None = None,
    since: int | None = None,
    last_event_id: Annotated[str | None, Header("Last-Event-ID")] = None,
) -> AsyncIterator[ServerEvent | bytes]:
    """As `/v1/events`, of this job alone. It goes on after the job has ended, for a job may be retried."""
    start = resume_from(last_event_id, since)
    job = await ctx.db.read(find_job, ctx.actor, ref, account=account)
    ctx.hold(partial(find_job, ref=job.id))
    async for event in follow(ctx, job.id, start):
        yield event
