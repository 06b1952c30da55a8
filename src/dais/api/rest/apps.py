"""The apps of running jobs: which there are, starting one, and what it printed."""

from __future__ import annotations

from functools import partial

from dais.api.context import Context
from dais.api.routing import Routes
from dais.compute import AppState, OpenedApp, Work, running_app, running_work
from dais.compute import address as app_address
from dais.kit.errors import Invalid
from dais.wire import app_answers

routes = Routes()


@routes.get("/v1/jobs/{ref}/apps", summary="List the apps of a running job", action="job:get")
async def apps(ctx: Context, ref: str, account: str | None = None) -> app_answers.JobApps:
    """Its own ports, what its image offers, and what is built in, each as it is now."""
    work: Work = await ctx.db.read(running_work, ctx.actor, ref, "job:get", account)
    states = await ctx.services.compute.apps.states(work)
    return app_answers.JobApps(job=work.job_id, apps=[_told(state) for state in states])


@routes.post("/v1/jobs/{ref}/apps/{name}", summary="Start an app of a running job, unless it runs", action="job:get")
async def open_app(ctx: Context, ref: str, name: str, account: str | None = None) -> app_answers.OpenedApp:
    """Answers once the app does. Apps that Dais starts need `job:exec`. A port is named by its number."""
    compute = ctx.services.compute
    verb = partial(running_app, apps=compute.apps, ref=ref, name=name, account=account)
    work, _ = await ctx.db.write(verb, ctx.actor)
    opened: OpenedApp = await compute.apps.open(work, name)
    url = None
    if opened.protocol == "http" and ctx.services.parts.doors is not None:
        url = app_address(await ctx.services.doors.url(work, opened.name), opened.path)
    return app_answers.OpenedApp(
        job=work.job_id,
        name=opened.name,
        port=opened.port,
        protocol=opened.protocol,
        path=opened.path,
        action=opened.action,
        url=url,
    )


@routes.get("/v1/jobs/{ref}/apps/{name}/log", summary="Read what an app of a running job printed", action="job:get")
async def app_log(ctx: Context, ref: str, name: str, account: str | None = None) -> app_answers.AppLog:
    """The last 64 KiB since it was started. It needs what reaching the app needs."""
    compute = ctx.services.compute
    verb = partial(running_app, apps=compute.apps, ref=ref, name=name, account=account)
    work, app = await ctx.db.read(verb, ctx.actor)
    if not app.starts:
        raise Invalid(
            f"{app.name} is a port of the job's own; what it prints is in the job's log", code="not-started-by-dais"
        )
    return app_answers.AppLog(job=work.job_id, name=app.name, output=await compute.apps.log(work, app.name))


def _told(state: AppState) -> app_answers.JobApp:
    app = state.app
    return app_answers.JobApp(
        name=app.name,
        title=app.title,
        port=app.ports[0],
        protocol=app.protocol,
        action=app.action,
        origin=app.origin,
        state=state.state,
        detail=state.detail or None,
        exit_code=state.exit_code,
    )
