"""Running jobs again as they were, and comparing what came of it."""

from __future__ import annotations

from typing import Annotated

from dais.api.context import Context
from dais.api.routing import Header, Routes
from dais.compute import get_reproduction, reproduce_job
from dais.wire import answers
from dais.wire.reproduction import Reproduce, Reproduction

routes = Routes()


@routes.post("/v1/jobs/{ref}/reproduce", status=201, summary="Run a job again as it was", action="job:new")
async def reproduce(
    ctx: Context,
    ref: str,
    body: Reproduce,
    account: str | None = None,
    idempotency_key: Annotated[str | None, Header("Idempotency-Key")] = None,
) -> answers.JobDetail:
    """With its recorded source, code, versions of inputs, content of the image, environment and resources.

    The new job writes a file set of its own. Refused with `never-succeeded` where there is nothing to compare with.
    """
    made: answers.JobDetail = await ctx.db.write(
        reproduce_job,
        ctx.actor,
        ref,
        ctx.services.compute.settings,
        account=account,
        tolerance=body.tolerance,
        key=idempotency_key,
    )
    return made


@routes.get("/v1/jobs/{ref}/reproduction", summary="Compare a job with the one that it runs again", action="job:get")
async def reproduction(
    ctx: Context, ref: str, account: str | None = None, tolerance: float | None = None
) -> Reproduction:
    """File by file by their digests, metric by metric within the tolerance; `verdict` sums it up."""
    found: Reproduction = await ctx.db.read(get_reproduction, ctx.actor, ref, account=account, tolerance=tolerance)
    return found
