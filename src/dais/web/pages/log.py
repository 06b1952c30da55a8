"""A job's log: the lines around a place, a search in it, the place of a time, and all of it as a file."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dais.compute import JobLog, Position, get_job, job_log
from dais.engines.contract import STDERR, STDOUT
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.web import view
from dais.web.frame import Frame, answer_json
from dais.web.guard import visitor
from dais.web.lines import Line, LineWriter, last_lines
from dais.web.log_index import LogIndex
from dais.wire import answers

PAGE_LINES = 1_000
"""Lines in a page."""
PAGE_BUDGET = 150_000
"""Characters of a log's HTML in a page, so that the page stays below 300 KB."""
MAX_LINES = 1_000
"""Lines that a module of the page gets at once."""
MAX_NEEDLE = 200
PAGE_SECONDS = 0.03
"""How long a page waits for its lines to be counted before it is shown without their numbers."""
ASK_SECONDS = 10.0
"""How long a module of the page waits for it."""

_nowhere = {"earlier": "", "later": "", "newest": ""}

STREAMS = {"stdout": STDOUT, "stderr": STDERR}

_clock = re.compile(r"(?:(\d{4}-\d\d-\d\d)[T ])?(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?Z?")


async def read_place(request: Request, frame: Frame) -> tuple[answers.JobDetail, JobLog, LogIndex]:
    """What an address means: the job, where its log is, and the index of the run and stream that it names.

    Raises NotFound, Forbidden, Invalid `no-such-run`, `bad-parameter`.
    """
    who = await visitor(request, frame.services)
    job, log = await frame.services.db.read(read_job, who.actor, *ref_of(request))
    return job, log, index_of(request, frame, job)


def index_of(request: Request, frame: Frame, job: answers.JobDetail) -> LogIndex:
    """The index of the run and stream of an address."""
    run = number_of(request, "run", job.run_index)
    if run > job.run_index:
        raise Invalid(f"job {job.number} has no run {run}; its latest is {job.run_index}", code="no-such-run")
    return frame.logs.of(job.id, run, stream_of(request))


def ref_of(request: Request) -> tuple[str, str]:
    """The job that an address means, and its account's full name."""
    parts = request.path_params
    return parts["ref"], f"{parts['organization']}.{parts['account']}"


def read_job(uow: UnitOfWork, actor: Actor, ref: str, account: str) -> tuple[answers.JobDetail, JobLog]:
    """A job and where its log is. Raises NotFound, Forbidden."""
    job = get_job(uow, actor, ref, account=account)
    return job, job_log(uow, actor, job.id)


def number_of(request: Request, name: str, default: int) -> int:
    """A whole number of the query. Raises Invalid `bad-parameter`."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(f"{name} {text[:40]!r} is not a number", code="bad-parameter")
    return int(text)


def stream_of(request: Request) -> int | None:
    """The stream of the query; None is all of them. Raises Invalid `bad-parameter`."""
    name = request.query_params.get("stream", "")
    if name and name not in STREAMS:
        raise Invalid(f"stream {name[:40]!r} is not known; there are {', '.join(STREAMS)}", code="bad-parameter")
    return STREAMS.get(name)


async def page_of(request: Request, frame: Frame, log: JobLog, index: LogIndex, run: int) -> dict[str, Any]:
    """What a page shows of a log before any module runs: the lines from `from` on, else the last ones.

    Lines of a long log may not be counted yet; then the last ones are shown, without their numbers.
    """
    first = number_of(request, "from", 0) - 1
    counted = await index.extend(log, None if first >= 0 else PAGE_SECONDS)
    if not counted:
        frames, _, _ = await frame.services.compute.logbook.tail(log, Position(run), PAGE_LINES + 1)
        writer = LineWriter()
        lines, _ = last_lines(writer.add(frames) + writer.open(), PAGE_LINES, PAGE_BUDGET)
        return {"rows": [line.row() for line in lines], "total": None, "first": 0, "last": 0, "opened": 0} | _nowhere
    end = first < 0 or first >= index.total
    start = max(0, index.total - PAGE_LINES) if end else first
    lines = await index.lines(log, start, PAGE_LINES)
    opened = index.open()
    if end:
        kept, _ = last_lines(lines, PAGE_LINES, PAGE_BUDGET)
        start += len(lines) - len(kept)
    else:
        kept = last_lines(lines[::-1], PAGE_LINES, PAGE_BUDGET)[0][::-1]
    whole = start + len(kept) == index.total
    address = f"?{_query(request, start + 1)}"
    return {
        "rows": [line.row(number, address) for number, line in enumerate(kept, start + 1)]
        + [line.row() for line in opened if whole],
        "total": index.total,
        "first": start + 1,
        "last": start + len(kept),
        "opened": len(opened) if whole else 0,
        "earlier": f"?{_query(request, max(1, start + 1 - PAGE_LINES))}" if start else "",
        "later": "" if whole else f"?{_query(request, start + len(kept) + 1)}",
        "newest": f"?{_query(request, None)}",
    }


def _query(request: Request, first: int | None) -> str:
    kept = {name: value for name, value in request.query_params.items() if name in ("run", "stream")}
    return "&".join(
        f"{name}={quote(str(value))}" for name, value in {**kept, "from": first}.items() if value is not None
    )


async def lines(request: Request, frame: Frame) -> Response:
    """Lines from `from` (the first is 1) on, `count` of them, and how many there are."""
    _, log, index = await read_place(request, frame)
    whole = await index.extend(log, ASK_SECONDS)
    first = max(1, number_of(request, "from", 1)) - 1
    found = await index.lines(log, first, min(MAX_LINES, number_of(request, "count", MAX_LINES)))
    return answer_json(
        {**log_message(index, whole=whole), "first": first, "lines": [wire_line(line) for line in found]}
    )


async def search(request: Request, frame: Frame) -> Response:
    """The numbers of lines from `from` on that have `q` in them; with `case`, as it is written."""
    _, log, index = await read_place(request, frame)
    text = request.query_params.get("q", "")
    if not 0 < len(text) <= MAX_NEEDLE:
        raise Invalid(f"search for 1 to {MAX_NEEDLE} characters, not {len(text)}", code="bad-parameter")
    await index.extend(log, ASK_SECONDS)
    first = max(1, number_of(request, "from", 1)) - 1
    found = await index.search(log, text, first, exact="case" in request.query_params)
    after = None if found.after is None else found.after + 1
    return answer_json({"lines": [number + 1 for number in found.lines], "after": after, "total": index.total})


async def at(request: Request, frame: Frame) -> Response:
    """The number of the first line at a time or later: `15:04:05`, `2026-11-26 15:04:05`; UTC."""
    job, log, index = await read_place(request, frame)
    await index.extend(log, ASK_SECONDS)
    run = next((run for run in job.runs if run.index == number_of(request, "run", job.run_index)), None)
    begin = (run.started_at if run else None) or job.created_at
    number = await index.at(log, instant(request.query_params.get("time", ""), datetime.fromisoformat(begin)))
    return answer_json({"line": number + 1})


def instant(text: str, begin: datetime) -> int:
    """A time as it is typed, in ns; without a day the first one after `begin`. Raises Invalid `bad-time`."""
    found = _clock.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError
        day, hour, minute, second, part = found.groups()
        clock = datetime.fromisoformat(f"{day or begin.astimezone(UTC).date()}T{hour}:{minute}:{second or '00'}+00:00")
    except ValueError as error:
        raise Invalid(
            f"{text[:40]!r} is no time; write 15:04, 15:04:05 or 2026-11-26 15:04:05 (UTC)", code="bad-time"
        ) from error
    if not day and clock < begin.replace(second=0, microsecond=0):
        clock += timedelta(days=1)
    return int(clock.timestamp()) * 1_000_000_000 + int((part or "0").ljust(9, "0"))


def log_message(index: LogIndex, *, whole: bool) -> dict[str, Any]:
    """How a log is now: how many lines it has, and those that are not complete."""
    return {
        "total": index.total,
        "open": [wire_line(line) for line in index.open()] if whole else [],
        "over": index.over,
        "counting": not whole,
    }


def wire_line(line: Line) -> tuple[int, int, str]:
    """A line for a module of the page: ms since the epoch, stream, HTML that was made safe."""
    return line.time_ms, line.stream, line.html


async def download_log(request: Request, frame: Frame) -> Response:
    """The whole log of a run as it is now, byte by byte, as a file."""
    job, log, _ = await read_place(request, frame)
    run = number_of(request, "run", job.run_index)
    file = quote(f"{job.name or 'job'}-{job.number}-run{run}.log")
    headers = {"content-disposition": f'attachment; filename="{file}"', "cache-control": "no-store"}
    body = _whole(frame, log, run, stream_of(request))
    return StreamingResponse(body, media_type="text/plain; charset=utf-8", headers=headers)


async def _whole(frame: Frame, log: JobLog, run: int, stream: int | None) -> AsyncIterator[bytes]:
    book = frame.services.compute.logbook
    position = Position(run)
    while True:
        part = await book.read(log, position)
        for piece in part.frames:
            if part.start.run == run and stream in (None, piece.stream):
                yield piece.data
        if part.eof or not part.frames or part.position.run != run:
            return
        position = part.position


def tab_address(job: answers.Job, tab: str) -> str:
    """Where a section of a job's page is; the log's is the job's own address."""
    return view.address(job) + (f"?tab={tab}" if tab != "log" else "")
