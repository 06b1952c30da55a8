"""Lineage: what led to something, and what came of it."""

from __future__ import annotations

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import find_job
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.provenance import trace_backward, trace_forward, trace_job
from dais.wire.lineage import DEFAULT_DEPTH, DEFAULT_NODES, Direction, Trace

routes = Routes()


@routes.get("/v1/trace", summary="Trace lineage", action=("fileset:get", "file:get"))
async def trace(
    ctx: Context,
    ref: str,
    direction: Direction = "backward",
    account: str | None = None,
    depth: int = DEFAULT_DEPTH,
    limit: int = DEFAULT_NODES,
) -> Trace:
    """Of a version of a file set (`texts:1`) or of a file (`/a.txt:3`).

    What the asker may not see is a hidden node without a name; where the trace begins they must be allowed to see.
    """
    verb = trace_forward if direction == "forward" else trace_backward
    found: Trace = await ctx.db.read(verb, ctx.actor, ref, account=account, depth=depth, limit=limit)
    return found


@routes.get("/v1/jobs/{ref}/trace", summary="Trace a job's lineage", action="job:get")
async def trace_of_job(
    ctx: Context,
    ref: str,
    direction: Direction = "forward",
    account: str | None = None,
    depth: int = DEFAULT_DEPTH,
    limit: int = DEFAULT_NODES,
) -> Trace:
    """What its runs were given, or what came of them; without nodes where they made no file set."""

    def verb(uow: UnitOfWork, actor: Actor) -> Trace:
        job = find_job(uow, actor, ref, account=account, action="job:get")
        return trace_job(uow, actor, job.id, direction, depth=depth, limit=limit)

    found: Trace = await ctx.db.read(verb, ctx.actor)
    return found
