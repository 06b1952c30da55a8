"""Where the apps of jobs are reached, and which of their ports are open to everybody."""

from __future__ import annotations

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import DEFAULT_TARGET, Work, expose_job, exposed_ports, running_work
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Forbidden
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

    def read(uow: UnitOfWork, actor: Actor) -> tuple[Work, list[int]]:
        work = running_work(uow, actor, ref, "job:get", account)
        return work, exposed_ports(uow, work.job_id)

    work, ports = await ctx.db.read(read, ctx.actor)
    url = await ctx.services.doors.url(work, target)
    return answers.JobAddress(url=url, target=target, public=target.isdigit() and int(target) in ports)


@routes.post("/v1/jobs/{ref}/expose", summary="Open a port of a job to everybody, or close it", action="job:set")
async def expose(ctx: Context, ref: str, body: Exposure, account: str | None = None) -> answers.Exposed:
    """With `public` false only who may see the job reaches it, as at first."""
    if body.public and not ctx.services.doors.public:
        raise Forbidden(
            "this installation opens no ports to everybody (DAIS_PROXY_PUBLIC); give a role a key that may job:get",
            code="no-public-ports",
        )

    def write(uow: UnitOfWork, actor: Actor) -> tuple[str, list[int]]:
        job_id = expose_job(uow, actor, ref, body.port, public=body.public, account=account)
        return job_id, exposed_ports(uow, job_id)

    job_id, ports = await ctx.db.write(write, ctx.actor)
    try:
        work = await ctx.db.read(running_work, ctx.actor, job_id, "job:get")
        url = await ctx.services.doors.url(work, str(body.port))
    except DaisError:  # it does not run, or the caller may not see where
        url = None
    return answers.Exposed(job=job_id, ports=ports, url=url)
