"""The apps of running jobs: which there are, starting one, and what it printed."""

from __future__ import annotations

from dais.api.apps import job_app_log, job_apps, open_job_app
from dais.api.context import Context
from dais.api.routing import Routes
from dais.wire import app_answers

routes = Routes()


@routes.get("/v1/jobs/{ref}/apps", summary="List the apps of a running job", action="job:get")
async def apps(ctx: Context, ref: str, account: str | None = None) -> app_answers.JobApps:
    """Its own ports, what its image offers, and what is built in, each as it is now."""
    return await job_apps(ctx.services, ctx.actor, ref, account)


@routes.post("/v1/jobs/{ref}/apps/{name}", summary="Start an app of a running job, unless it runs", action="job:get")
async def open_app(ctx: Context, ref: str, name: str, account: str | None = None) -> app_answers.OpenedApp:
    """Answers once the app does. Apps that Dais starts need `job:exec`. A port is named by its number."""
    found = await open_job_app(ctx.services, ctx.actor, ref, name, account)
    return app_answers.OpenedApp(
        job=found.work.job_id,
        name=found.app.name,
        port=found.app.port,
        protocol=found.app.protocol,
        path=found.app.path,
        action=found.app.action,
        url=found.url,
    )


@routes.get("/v1/jobs/{ref}/apps/{name}/log", summary="Read what an app of a running job printed", action="job:get")
async def app_log(ctx: Context, ref: str, name: str, account: str | None = None) -> app_answers.AppLog:
    """The last 64 KiB since it was started. It needs what reaching the app needs."""
    return await job_app_log(ctx.services, ctx.actor, ref, name, account)
