"""Where the apps of jobs are reached, and which of their ports are open to everybody."""

from __future__ import annotations

import msgspec

from dais.api.apps import expose_port, job_address
from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import DEFAULT_TARGET
from dais.wire import answers

routes = Routes()


class Exposure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether everybody reaches a port, or only who may see the job."""

    port: int
    public: bool = True


@routes.get("/v1/jobs/{ref}/address", summary="Say where a port or an app of a job is reached", action="job:get")
async def address(
    ctx: Context, ref: str, target: str = DEFAULT_TARGET, account: str | None = None
) -> answers.JobAddress:
    """`target` is a port or an app by its name (`jupyter`). The job must run."""
    return await job_address(ctx.services, ctx.actor, ref, target, account)


@routes.post("/v1/jobs/{ref}/expose", summary="Open a port of a job to everybody, or close it", action="job:set")
async def expose(ctx: Context, ref: str, body: Exposure, account: str | None = None) -> answers.Exposed:
    """With `public` false only who may see the job reaches it, as at first."""
    return await expose_port(ctx.services, ctx.actor, ref, body.port, public=body.public, account=account)
