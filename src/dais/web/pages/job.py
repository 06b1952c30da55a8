"""One job: what it is, how it goes, what it said; and ending it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dais.compute import JobLog, Position, get_job, job_log, kill_job, retry_job
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.web import view
from dais.web.frame import Frame, see_other
from dais.web.guard import check_form_token, read_form, visitor
from dais.web.lines import Lines, LineWriter, last_lines
from dais.wire import answers

LOG_LINES = 1_000
LOG_BUDGET = 160_000
"""Characters of a log's HTML in a page, so that the page stays below 300 KB."""


async def show_job(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    run = _run_of(request)
    ref, account = ref_of(request)
    job, log = await frame.services.db.read(read_job, who.actor, ref, account)
    if job.account != account or ref not in (job.id, view.short(job.id)):
        return _to_its_address(request, job)
    if run is not None and run > job.run_index:
        raise Invalid(f"job {job.number} has no run {run}; its latest is {job.run_index}", code="no-such-run")
    lines, cut, cursor = await log_tail(frame, log, run, LineWriter())
    return frame.page(
        request,
        "job.html",
        who,
        account=job.account,
        job=job,
        run=job.run_index if run is None else run,
        live=run is None or run == job.run_index,
        lines=[*lines.done, *lines.open],
        cut=cut,
        # Only where every line is complete can another reader go on without breaking one in two.
        cursor="" if lines.open else str(cursor),
    )


async def to_its_address(request: Request, frame: Frame) -> Response:
    """`/jobs/<any name of a job>…` leads to the job's own address."""
    who = await visitor(request, frame.services)
    job: answers.JobDetail = await frame.services.db.read(get_job, who.actor, request.path_params["ref"])
    return _to_its_address(request, job)


def _to_its_address(request: Request, job: answers.Job) -> Response:
    part, query = request.path_params.get("part"), request.url.query
    return see_other(view.address(job) + (f"/{quote(part)}" if part else "") + (f"?{query}" if query else ""))


def ref_of(request: Request) -> tuple[str, str]:
    """The job that an address means, and its account's full name."""
    parts = request.path_params
    return parts["ref"], f"{parts['organization']}.{parts['account']}"


def read_job(uow: UnitOfWork, actor: Actor, ref: str, account: str) -> tuple[answers.JobDetail, JobLog]:
    """A job and where its log is. Raises NotFound, Forbidden."""
    job = get_job(uow, actor, ref, account=account)
    return job, job_log(uow, actor, job.id)


async def log_tail(frame: Frame, log: JobLog, run: int | None, writer: LineWriter) -> tuple[Lines, bool, Position]:
    """The end of a run's log (None: of the latest), whether it has a beginning before, and the place after it."""
    start = None if run is None else Position(run)
    frames, after, _ = await frame.services.compute.logbook.tail(log, start, LOG_LINES + 1)
    lines, cut = last_lines(writer.add(frames), LOG_LINES, LOG_BUDGET)
    return lines, cut, after


async def download_log(request: Request, frame: Frame) -> Response:
    """The whole log of a run as it is now, byte by byte, as a file."""
    who = await visitor(request, frame.services)
    run = _run_of(request)
    job, log = await frame.services.db.read(read_job, who.actor, *ref_of(request))
    chosen = job.run_index if run is None else run
    file = quote(f"{job.name or 'job'}-{job.number}-run{chosen}.log")
    headers = {"content-disposition": f'attachment; filename="{file}"', "cache-control": "no-store"}
    return StreamingResponse(_whole(frame, log, chosen), media_type="text/plain; charset=utf-8", headers=headers)


async def _whole(frame: Frame, log: JobLog, run: int) -> AsyncIterator[bytes]:
    book = frame.services.compute.logbook
    position = Position(run)
    while True:
        part = await book.read(log, position)
        for piece in part.frames:
            yield piece.data
        if part.eof or not part.frames or part.position.run != run:
            return
        position = part.position


async def ask_kill(request: Request, frame: Frame) -> Response:
    """The page that says what will happen, with the button that does it."""
    who = await visitor(request, frame.services)
    ref, account = ref_of(request)
    job: answers.JobDetail = await frame.services.db.read(get_job, who.actor, ref, account=account)
    return frame.page(request, "kill.html", who, job=job, account=job.account)


async def kill(request: Request, frame: Frame) -> Response:
    return await _done(request, frame, kill_job)


async def retry(request: Request, frame: Frame) -> Response:
    return await _done(request, frame, retry_job)


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


def _run_of(request: Request) -> int | None:
    text = request.query_params.get("run")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(f"run {text[:40]!r} is not a number", code="bad-parameter")
    return int(text)


def parts_of(frame: Frame, job: answers.JobDetail) -> dict[str, Any]:
    """The pieces of a job's page that change while it is open, by the id of their element."""
    now = frame.services.clock.now()
    return {name: frame.part("job_parts.html", name, job, now) for name in ("summary", "facts", "runs", "history")}
