"""Logs of jobs: a page at a time, and as a stream that resumes."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

from dais.api.context import Context
from dais.api.routing import Header, Routes
from dais.api.sse import ACCEPTED, ServerEvent
from dais.compute import JobLog, Position, Slice, find_job, get_job, job_log, position_from
from dais.engines.contract import FRAME_HEAD, STDERR, STDOUT, SYSTEM, Frame
from dais.identity import Actor
from dais.kit.clock import from_rfc3339, to_rfc3339
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid, NotFound
from dais.wire import answers

routes = Routes()

MAX_BYTES = 4 << 20
JOIN_BYTES = 64 << 10
"""Chunks of one stream that follow each other are sent as one, up to this size."""

_names = {STDOUT: "stdout", STDERR: "stderr", SYSTEM: "system"}


@routes.get("/v1/jobs/{ref}/logs", summary="Read a job's log", action="job:logs")
async def logs(
    ctx: Context,
    ref: str,
    account: str | None = None,
    run: int | None = None,
    cursor: str | None = None,
    tail: int | None = None,
    since: str | None = None,
    stream: str | None = None,
    limit: int = 1 << 20,
) -> answers.LogPage:
    """Output from `cursor`, or from the beginning of a run (the latest, unless `run` is given).

    `tail` is a number of lines, `since` an RFC 3339 time, `stream` is stdout or stderr, `limit` bytes. `cursor` of
    the answer is where to go on; `eof` says that nothing will follow.
    """
    wanted = _Wanted(stream, since)
    if not 1 <= limit <= MAX_BYTES:
        raise Invalid(f"limit {limit} is not from 1 to {MAX_BYTES} bytes", code="bad-limit", limit=limit)
    book = ctx.services.compute.logbook
    log: JobLog = await ctx.db.read(job_log, ctx.actor, ref, account)
    _check_run(log, run)
    start = position_from(cursor, run)
    if tail is not None:
        frames, position, eof = await book.tail(log, start, _lines(tail), stream=wanted.stream)
        truncated = False
    else:
        part = await book.read(log, start, limit=limit)
        frames, position, eof, truncated = part.frames, part.position, part.eof, part.truncated
    return answers.LogPage(
        frames=[frame for _, frame in _joined(wanted.only(frames), position)],
        cursor=str(position),
        eof=eof or (run is not None and position.run > run),
        truncated=truncated,
    )


@routes.events("/v1/jobs/{ref}/logs/stream", summary="Follow a job's log", action="job:logs")
async def follow(
    ctx: Context,
    ref: str,
    account: str | None = None,
    run: int | None = None,
    cursor: str | None = None,
    tail: int | None = None,
    since: str | None = None,
    stream: str | None = None,
    last_event_id: Annotated[str | None, Header("Last-Event-ID")] = None,
) -> AsyncIterator[ServerEvent | bytes]:
    """Events `log` (a LogFrame; its id is the cursor after it), and one `end` when all was said: the job, or null
    for those who may read its log and no more."""
    wanted = _Wanted(stream, since)
    book = ctx.services.compute.logbook
    log: JobLog = await ctx.db.read(job_log, ctx.actor, ref, account)
    ctx.hold(partial(find_job, ref=log.job_id, action="job:logs"))
    _check_run(log, run)
    position = position_from(last_event_id or cursor, run)
    yield ACCEPTED
    if tail is not None and not last_event_id:
        frames, position, _ = await book.tail(log, position, _lines(tail), stream=wanted.stream)
        for _, frame in _joined(wanted.only(frames), position):
            yield ServerEvent(frame, "log", str(position))
        log = await book.refresh(log)
    async for part in book.follow(log, position, run=run):
        if events := wanted.encoded(part):
            yield events
    yield ServerEvent(await ctx.db.read(_ended, ctx.actor, log.job_id), "end")


def _ended(uow: UnitOfWork, actor: Actor, job_id: str) -> answers.JobDetail | None:
    """The job, for those who may see more of it than its log."""
    try:
        return get_job(uow, actor, job_id)
    except NotFound:
        return None


class _Wanted:
    """Which frames the reader asked for. Raises Invalid for what is not known."""

    def __init__(self, stream: str | None, since: str | None) -> None:
        if stream not in (None, "stdout", "stderr"):
            raise Invalid(f"stream {stream[:40]!r} is not known; use stdout or stderr", code="bad-parameter")
        self.stream = {"stdout": STDOUT, "stderr": STDERR, None: None}[stream]
        try:
            self._since = from_rfc3339(since) * 1000 if since is not None else None
        except ValueError as error:
            raise Invalid(
                f"since is {since!r}; write an RFC 3339 time such as 2026-11-22T09:30:00Z", code="bad-parameter"
            ) from error

    def only(self, frames: Sequence[Frame]) -> list[tuple[int, Frame]]:
        """The frames that are wanted, each with the encoded bytes that end with it."""
        kept, end = [], 0
        for frame in frames:
            end += FRAME_HEAD + len(frame.data)
            if self.stream not in (None, frame.stream) or (self._since is not None and frame.time_ns < self._since):
                continue
            kept.append((end, frame))
        return kept

    def encoded(self, part: Slice) -> bytes:
        """The events of a slice; encoded once for all who follow and want the same."""
        key = (self.stream, self._since)
        events: bytes | None = part.memo.get(key)
        if events is None:
            joined = _joined(self.only(part.frames), part.start)
            events = b"".join([ServerEvent(frame, "log", str(after)).encode() for after, frame in joined])
            part.memo[key] = events
        return events


def _joined(frames: Iterable[tuple[int, Frame]], start: Position) -> Iterable[tuple[Position, answers.LogFrame]]:
    """Frames as answers, neighbours of one stream joined, each with the position after it."""
    held: Frame | None = None
    at = 0
    for end, frame in frames:
        if held is not None and held.stream == frame.stream and len(held.data) + len(frame.data) <= JOIN_BYTES:
            held = Frame(held.time_ns, held.stream, held.data + frame.data)
        else:
            if held is not None:
                yield replace(start, offset=start.offset + at), _answer(held)
            held = frame
        at = end
    if held is not None:
        yield replace(start, offset=start.offset + at), _answer(held)


def _answer(frame: Frame) -> answers.LogFrame:
    at = to_rfc3339(frame.time_ns // 1000)
    try:
        return answers.LogFrame(at=at, stream=_names[frame.stream], data=frame.data.decode())
    except UnicodeDecodeError:
        data = base64.b64encode(frame.data).decode()
        return answers.LogFrame(at=at, stream=_names[frame.stream], data=data, encoding="base64")


def _check_run(log: JobLog, run: int | None) -> None:
    if run is not None and not 0 <= run <= log.run_index:
        runs = "only run 0" if log.run_index == 0 else f"runs 0 to {log.run_index}"
        raise NotFound(f"the job has no run {run}; it has {runs}", code="no-such-run", run=run)


def _lines(tail: int) -> int:
    if not 0 <= tail <= 100_000:
        raise Invalid(f"tail {tail} is not from 0 to 100000 lines", code="bad-parameter", tail=tail)
    return tail
