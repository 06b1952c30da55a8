"""One job: what it is, how it goes, what it said; ending it, and running it again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from dais.compute import (
    JOB,
    find_job,
    get_job,
    get_report,
    get_reproduction,
    kill_job,
    reproduce_job,
    reproduces,
    reproductions_of,
    retry_job,
)
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Invalid
from dais.web import view
from dais.web.charts import HEIGHT, LEFT, RIGHT, WIDTH, Chart, chart
from dais.web.frame import Frame, see_other
from dais.web.guard import check_form_token, read_form, visitor
from dais.web.pages import apps
from dais.web.pages.log import index_of, number_of, page_of, read_job, ref_of
from dais.web.pages.meta import described
from dais.web.pages.sections import TABS, job_page
from dais.wire import answers
from dais.wire.reports import JobReport, Series
from dais.wire.reproduction import Reproduction


async def show_job(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    ref, account = ref_of(request)
    job, log = await frame.services.db.read(read_job, who.actor, ref, account)
    if job.account != account or ref not in (job.id, view.short(job.id)):
        return _to_its_address(request, job)
    tab = request.query_params.get("tab", "log")
    if tab not in dict(TABS):
        raise Invalid(f"tab {tab[:40]!r} is not known; there are {', '.join(dict(TABS))}", code="bad-parameter")
    values: dict[str, Any] = {"run": number_of(request, "run", job.run_index)}
    if tab == "log":
        index = index_of(request, frame, job)
        values |= await page_of(request, frame, log, index, values["run"])
        values |= {"stream": request.query_params.get("stream", ""), "chosen_run": "run" in request.query_params}
    if tab == "overview":
        values |= await frame.services.db.read(_again, who.actor, job)
    if tab == "apps":
        values |= await apps.section(request, frame, who, job)
    if tab == "metrics":
        report: JobReport = await frame.services.db.read(get_report, who.actor, job.id, run=values["run"])
        values |= dict(zip(("report", "charts", "box"), charts_of(report), strict=True))
    if tab == "overview":
        values["meta"] = await frame.services.db.read(described, who.actor, JOB, job.id)
    return job_page(request, frame, who, job, tab, **values)


async def to_its_address(request: Request, frame: Frame) -> Response:
    """`/jobs/<any name of a job>…` leads to the job's own address."""
    who = await visitor(request, frame.services)
    job: answers.JobDetail = await frame.services.db.read(get_job, who.actor, request.path_params["ref"])
    return _to_its_address(request, job)


def _to_its_address(request: Request, job: answers.Job) -> Response:
    part, query = request.path_params.get("part"), request.url.query
    return see_other(view.address(job) + (f"/{quote(part)}" if part else "") + (f"?{query}" if query else ""))


async def ask_kill(request: Request, frame: Frame) -> Response:
    """The page that says what will happen, with the button that does it."""
    who = await visitor(request, frame.services)
    ref, account = ref_of(request)

    def read(uow: UnitOfWork) -> answers.JobDetail:
        found = find_job(uow, who.actor, ref, account=account, action="job:kill")
        return get_job(uow, who.actor, found.id)

    job: answers.JobDetail = await frame.services.db.read(read)
    return frame.page(request, "kill.html", who, job=job, account=job.account)


async def kill(request: Request, frame: Frame) -> Response:
    return await _done(request, frame, kill_job)


async def retry(request: Request, frame: Frame) -> Response:
    return await _done(request, frame, partial(retry_job, settings=frame.services.compute.settings))


async def reproduce(request: Request, frame: Frame) -> Response:
    """Run a job again exactly as it was, and show the new one."""
    settings = frame.services.compute.settings

    def act(uow: UnitOfWork, actor: Actor, ref: str, *, account: str) -> str:
        return reproduce_job(uow, actor, ref, settings, account=account).id

    return await _done(request, frame, act)


def _again(uow: UnitOfWork, actor: Actor, job: answers.JobDetail) -> dict[str, Any]:
    """How a job compares with the one that it runs again, and which jobs run it again."""
    compared: Reproduction | str | None = None
    if reproduces(uow, job.id) is not None:
        try:
            compared = get_reproduction(uow, actor, job.id)
        except DaisError as error:
            compared = error.message
    again = []
    for other in reproductions_of(uow, job.id):
        with contextlib.suppress(DaisError):
            again.append(get_job(uow, actor, other))
    return {"compared": compared, "again": again}


async def _done(request: Request, frame: Frame, act: Callable[..., str]) -> Response:
    """Do something to a job, and show it."""
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    ref, account = ref_of(request)

    def verb(uow: UnitOfWork) -> answers.JobDetail:
        return get_job(uow, who.actor, act(uow, who.actor, ref, account=account))

    job: answers.JobDetail = await frame.services.db.write(verb)
    return see_other(view.address(job))


def charts_of(report: JobReport) -> tuple[JobReport, list[tuple[Series, Chart | None]], tuple[int, ...]]:
    """What a page shows of a report: it, a chart of each metric, and the charts' size and margins."""
    charts = [(one, chart(one.steps, one.values) if one.values else None) for one in report.series]
    return report, charts, (WIDTH, HEIGHT, LEFT, RIGHT)


PARTS = ("summary", "facts", "runs", "history", "lasting")


def parts_of(frame: Frame, job: answers.JobDetail, token: str) -> dict[str, str]:
    """The pieces of a job's page that change while it is open, by the id of their element."""
    now = frame.services.clock.now()
    more = {"summary": (token, frame.knows("/submit"))}
    return {name: frame.part("job_parts.html", name, job, now, *more.get(name, ())) for name in PARTS}
