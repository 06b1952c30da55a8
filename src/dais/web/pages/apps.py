"""The apps of a job: a section of its page, opening one at its own origin, and who may reach a port."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.api import Opening, Services, expose_port, job_app_log, job_apps, open_job_app
from dais.compute import Place, exposed_ports, find_job, get_job, running_work
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import Conflict, DaisError, Forbidden, Invalid, NotFound, Unavailable
from dais.web import view
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.pages.access.shared import acting
from dais.web.pages.images import status_of
from dais.web.pages.log import number_of, ref_of
from dais.web.pages.sections import job_page
from dais.wire import answers
from dais.wire.app_answers import AppLog, JobApp

ASK_SECONDS = 5.0
"""How long it is waited for what a job says of its apps."""


class Apps(msgspec.Struct, frozen=True, kw_only=True):
    """The apps of a job as its page shows them: of one that does not run, the ports that are open to everybody.

    `may` are the actions of their reader: what takes others has no button. `asked`: the job was asked how they are; a
    page is shown before that, and asks when it is open.
    """

    asked: bool = False
    all: tuple[JobApp, ...] = ()
    ports: tuple[int, ...] = ()
    problem: str = ""
    may: frozenset[str] = frozenset()


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Why an app was not opened, with the end of what it printed."""

    name: str
    message: str
    output: str = ""


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a job, to whoever decides who reaches it. `address` is None while the job does not run."""

    port: int
    public: bool
    plain: bool
    address: str | None


async def apps_of(services: Services, actor: Actor, job: answers.JobDetail, *, ask: bool = True) -> Apps:
    """The apps of a job that the actor may see; with `ask` as the job says that they are.

    Raises NotFound, Forbidden once they may not any more.
    """

    def read(uow: UnitOfWork) -> tuple[tuple[int, ...], frozenset[str]]:
        return tuple(exposed_ports(uow, job.id)), _allowed(uow, actor, job.id)

    ports, may = await services.db.read(read)
    if job.state != "RUNNING":
        return Apps(ports=ports, may=may)
    try:
        async with asyncio.timeout(ASK_SECONDS):
            found = await job_apps(services, actor, job.id, ask=ask)
    except TimeoutError:
        return Apps(ports=ports, may=may, problem="the job has not said yet what there is; this page asks again")
    except (Conflict, Unavailable) as error:  # it has ended meanwhile, or cannot be asked
        return Apps(ports=ports, may=may, problem=error.message)
    return Apps(asked=ask, all=tuple(found.apps), ports=ports, may=may)


async def section(request: Request, frame: Frame, who: Visitor, job: answers.JobDetail) -> dict[str, Any]:
    """What the section of a job's page shows; with `log` in the address, what that app has printed, with `ask` what
    the job says of its apps."""
    ask = "ask" in request.query_params
    name = request.query_params.get("log", "")
    said: AppLog | None = None
    failed: Failed | None = None
    if name and job.state == "RUNNING":
        try:
            said = await job_app_log(frame.services, who.actor, job.id, name)
        except (Conflict, Unavailable, Invalid) as error:
            failed = Failed(name=name, message=error.message)
    return {"apps": await apps_of(frame.services, who.actor, job, ask=ask), "said": said, "failed": failed}


async def open_app(request: Request, frame: Frame) -> Response:
    """Start an app unless it runs, and lead the browser to it; else say why not, with its own output."""
    who, form = await acting(request, frame)
    ref, account = ref_of(request)
    name = form.get("app", "")
    try:
        opening = await open_job_app(frame.services, who.actor, ref, name, account)
    except (NotFound, Forbidden):
        raise
    except DaisError as error:
        output = str(error.fields.get("output", ""))
        failed = Failed(name=name, message=error.message, output=output)
        return await _not_opened(request, frame, who, failed, status_of(error))
    if opening.app.protocol == "page":
        return see_other(opening.app.path)
    if opening.app.protocol != "http":
        return see_other(f"{view.place(account)}/jobs/{view.short(opening.work.job_id)}?tab=apps")
    return await lead(request, frame, who, opening)


async def lead(request: Request, frame: Frame, who: Visitor, opening: Opening) -> Response:
    """A page that leads on to an app's own origin, as one that may come in there."""
    place = Place(job_id=opening.work.job_id, target=opening.target)
    after = "/" + (opening.url or "").split("/", 3)[-1]
    address = await frame.services.doors.admit(who.actor, who.session.id, place, "", after)
    response = frame.page(request, "opening.html", who, to=address)
    response.headers["referrer-policy"] = "no-referrer"
    return response


async def ask_expose(request: Request, frame: Frame) -> Response:
    """The page that says who reaches a port, and what it means to change that."""
    who = await visitor(request, frame.services)
    return await _ask(request, frame, who, number_of(request, "port", 0))


async def expose(request: Request, frame: Frame) -> Response:
    """Open a port to everybody, or close it again."""
    who, form = await acting(request, frame)
    ref, account = ref_of(request)
    port = int(form["port"]) if form.get("port", "").isdigit() else 0
    public = form.get("public") == "yes"
    try:
        exposed = await expose_port(frame.services, who.actor, ref, port, public=public, account=account)
    except Conflict as error:
        return await _ask(request, frame, who, port, error)
    job: answers.JobDetail = await frame.services.db.read(get_job, who.actor, exposed.job)
    return see_other(f"{view.address(job)}?tab=apps")


async def _ask(request: Request, frame: Frame, who: Visitor, port: int, error: DaisError | None = None) -> Response:
    if not 0 < port < 1 << 16:
        raise Invalid(f"{port} is no port; there are 1 to 65535", code="bad-port", port=port)
    ref, account = ref_of(request)

    def read(uow: UnitOfWork) -> tuple[answers.JobDetail, bool]:
        row = find_job(uow, who.actor, ref, account=account, action="job:set")
        return get_job(uow, who.actor, row.id), port in exposed_ports(uow, row.id)

    services = frame.services
    job, public = await services.db.read(read)
    door = Door(port=port, public=public, plain=True, address=None)
    if job.state == "RUNNING":
        work = await services.db.read(running_work, who.actor, job.id, "job:get")
        plain = services.compute.apps.port_action(work, port) == "job:get"
        address = await services.doors.known_url(work, str(port))
        door = Door(port=port, public=public, plain=plain, address=address)
    return frame.page(
        request,
        "expose.html",
        who,
        account=job.account,
        job=job,
        door=door,
        possible=services.doors.public,
        problem=error.message if error else "",
        status=status_of(error),
    )


async def _not_opened(request: Request, frame: Frame, who: Visitor, failed: Failed, status: int) -> Response:
    """The section of the job's page, with what went wrong above it."""
    ref, account = ref_of(request)
    job: answers.JobDetail = await frame.services.db.read(get_job, who.actor, ref, account=account)
    shown = {"apps": await apps_of(frame.services, who.actor, job), "said": None, "failed": failed}
    return job_page(request, frame, who, job, "apps", status=status, run=job.run_index, **shown)


def _allowed(uow: UnitOfWork, actor: Actor, job_id: str) -> frozenset[str]:
    """Which of the actions that the section's buttons take the actor may do."""
    found = set()
    for action in ("job:get", "job:exec", "job:set"):
        try:
            find_job(uow, actor, job_id, action=action)
        except (NotFound, Forbidden):
            continue
        found.add(action)
    return frozenset(found)
