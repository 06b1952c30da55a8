"""The apps of running jobs as every surface has them: listing, starting, addresses, and who may reach a port."""

from __future__ import annotations

from functools import partial

import msgspec

from dais.api.context import Services
from dais.compute import App, AppState, OpenedApp, Work, expose_job, exposed_ports, running_app, running_work
from dais.compute import address as app_address
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Forbidden, Invalid
from dais.wire import answers, app_answers


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """An app that answers: in which job, and where. `url` is None for what no browser opens; `target` is what its
    address names."""

    work: Work
    app: OpenedApp
    target: str
    url: str | None


async def job_apps(
    services: Services, actor: Actor, ref: str, account: str | None = None, *, ask: bool = True
) -> app_answers.JobApps:
    """The apps of a running job, with its ports that are open to everybody, each as it is now.

    Without `ask` the job is not asked, and most states are unknown. Raises NotFound, Forbidden, Conflict `not-running`.
    """
    work, public = await services.db.read(_work_and_ports, actor, ref, account)
    apps = services.compute.apps
    states = await apps.states(work, also=public) if ask else apps.unasked(work, also=public)
    return app_answers.JobApps(job=work.job_id, apps=[await _told(services, work, one, public) for one in states])


async def open_job_app(services: Services, actor: Actor, ref: str, name: str, account: str | None = None) -> Opening:
    """Start an app unless it runs; returns once it answers. A port is named by its number.

    Raises NotFound, Forbidden, Invalid `bad-port`, and what `Apps.open` raises.
    """
    apps = services.compute.apps
    work, app = await services.db.write(partial(running_app, apps=apps, ref=ref, name=name, account=account), actor)
    opened: OpenedApp = await apps.open(work, name)
    url, target = None, _target(app)
    if opened.protocol == "page":
        url = services.url + opened.path
    elif opened.protocol == "http" and services.parts.doors is not None:
        url = app_address(await services.doors.url(work, target), opened.path)
    return Opening(work=work, app=opened, target=target, url=url)


async def job_app_log(
    services: Services, actor: Actor, ref: str, name: str, account: str | None = None
) -> app_answers.AppLog:
    """The end of what an app has printed. It needs what reaching the app needs.

    Raises NotFound, Forbidden, Conflict `not-running`, Invalid `not-started-by-dais`.
    """
    apps = services.compute.apps
    work, app = await services.db.read(partial(running_app, apps=apps, ref=ref, name=name, account=account), actor)
    if not app.starts:
        where = "is on its page" if app.protocol == "page" else "is in the job's log"
        raise Invalid(f"{app.name} is not started by Dais; what it prints {where}", code="not-started-by-dais")
    return app_answers.AppLog(job=work.job_id, name=app.name, output=await apps.log(work, app.name))


async def job_address(
    services: Services, actor: Actor, ref: str, target: str, account: str | None = None
) -> answers.JobAddress:
    """Where a port or an app (by its name) of a running job is reached; nothing is started.

    Raises NotFound, Forbidden, Conflict `not-running`, Invalid `bad-port`.
    """
    work, public = await services.db.read(_work_and_ports, actor, ref, account)
    app = services.compute.apps.find(work, target)
    path = await services.compute.apps.path(work, app)
    url = services.url + path
    if app.protocol != "page":
        url = app_address(await services.doors.url(work, target), path)
    return answers.JobAddress(url=url, target=target, public=app.action == "job:get" and app.port in public)


async def expose_port(
    services: Services, actor: Actor, ref: str, port: int, *, public: bool, account: str | None = None
) -> answers.Exposed:
    """Open a port of a job to everybody, or close it again.

    Raises NotFound, Forbidden (also `no-public-ports`), Invalid `bad-port`, Conflict `too-many-ports`.
    """
    if public and not services.doors.public:
        raise Forbidden(
            "this installation opens no ports to everybody (DAIS_PROXY_PUBLIC); give a role a key that may job:get",
            code="no-public-ports",
        )

    def write(uow: UnitOfWork) -> tuple[str, list[int]]:
        job_id = expose_job(uow, actor, ref, port, public=public, account=account)
        return job_id, exposed_ports(uow, job_id)

    job_id, ports = await services.db.write(write)
    try:
        work = await services.db.read(running_work, actor, job_id, "job:get")
        url = await services.doors.url(work, str(port))
    except DaisError:  # it does not run, or the caller may not see where
        url = None
    return answers.Exposed(job=job_id, ports=ports, url=url)


def _work_and_ports(uow: UnitOfWork, actor: Actor, ref: str, account: str | None) -> tuple[Work, list[int]]:
    work = running_work(uow, actor, ref, "job:get", account)
    return work, exposed_ports(uow, work.job_id)


def _target(app: App) -> str:
    """What its address names: ports by their numbers, which may be open to everybody."""
    return app.name if app.starts else str(app.port)


async def _told(services: Services, work: Work, state: AppState, public: list[int]) -> app_answers.JobApp:
    app, url = state.app, None
    if app.protocol == "page":
        url = services.url + state.path
    elif app.protocol == "http" and services.parts.doors is not None:
        base = await services.doors.known_url(work, _target(app))
        url = app_address(base, state.path) if base is not None else None
    return app_answers.JobApp(
        name=app.name,
        title=app.title,
        port=app.port,
        protocol=app.protocol,
        action=app.action,
        origin=app.origin,
        state=state.state,
        detail=state.detail or None,
        exit_code=state.exit_code,
        url=url,
        public=app.action == "job:get" and app.port in public,
    )
