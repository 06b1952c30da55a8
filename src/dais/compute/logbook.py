"""Reading a job's log from wherever it is now, so that a reader never notices when it moves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from sqlalchemy import bindparam, select

from dais.compute.environments.tables import environments
from dais.compute.feeds import Feeds
from dais.compute.jobs.lifecycle import FINAL
from dais.compute.jobs.queries import find_job
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import Segment
from dais.compute.logs import (
    SEGMENT_BYTES,
    Position,
    Shipped,
    before,
    decode_segments,
    encode_frames,
    parse_cursor,
)
from dais.data import BlobStore
from dais.engines.contract import SYSTEM, Engine, Frame, Handle, LogChunk
from dais.identity import Actor
from dais.kit.clock import to_rfc3339
from dais.kit.database import Database, Statement, UnitOfWork
from dais.kit.errors import NotFound, Unavailable

KEPT_SECONDS = 10.0
"""How long a segment of a shipped log stays open, about, for who reads on."""

TAIL_BYTES = 16 << 20
"""How much of a log's end is looked at for its last lines."""

_runs = Statement(
    select(
        runs.c.id,
        runs.c.idx,
        runs.c.handle,
        runs.c.ended_at,
        runs.c.log_segments,
        runs.c.log_truncated,
        runs.c.log_expired_at,
        environments.c.handle.label("build_handle"),
        environments.c.log_segments.label("build_segments"),
        environments.c.state.label("build_state"),
    )
    .select_from(runs.outerjoin(environments, environments.c.built_for_run == runs.c.id))
    .where(runs.c.job_id == bindparam("job_id"))
    .order_by(runs.c.idx)
)
_state = Statement(select(jobs.c.state, jobs.c.run_index).where(jobs.c.id == bindparam("job_id")))


@dataclass(frozen=True, slots=True)
class Source:
    """Where a part of a log is: with the engine, in the blob store, or nowhere yet. `over`: nothing will follow."""

    handle: Handle | None
    segments: list[Segment] | None
    over: bool


@dataclass(frozen=True, slots=True)
class RunLog:
    """The log of one run: the build of its environment, if it made one, and its own output."""

    index: int
    build: Source | None
    own: Source
    truncated: bool
    expired_at: int | None = None


@dataclass(frozen=True, slots=True)
class JobLog:
    """The logs of a job's runs, as they are now."""

    job_id: str
    group: str
    run_index: int
    final: bool
    runs: dict[int, RunLog]


@dataclass(frozen=True, slots=True)
class Slice:
    """Frames, where to go on, and whether that is all there will be."""

    frames: list[Frame]
    position: Position
    start: Position
    eof: bool
    truncated: bool
    memo: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)
    """What was made of it, for others who are given the same slice."""


def job_log(uow: UnitOfWork, actor: Actor, ref: str, account: str | None = None) -> JobLog:
    """Where a job's logs are. Raises NotFound, Forbidden."""
    row = find_job(uow, actor, ref, account=account, action="job:logs")
    return _job_log(uow, row.id, row.group_name)


def _job_log(uow: UnitOfWork, job_id: str, group: str) -> JobLog:
    row = uow.one(_state, job_id=job_id)
    if row is None:
        raise NotFound(f"job {job_id} was removed", code="no-such-job")
    found = {}
    for run in uow.all(_runs, job_id=job_id):
        build = None
        if run.build_state is not None:
            build = _source(run.build_handle, run.build_segments, over=run.build_state != "BUILDING")
        own = _source(run.handle, run.log_segments, over=run.ended_at is not None and run.handle is None)
        found[run.idx] = RunLog(run.idx, build, own, bool(run.log_truncated), run.log_expired_at)
    return JobLog(job_id, group, row.run_index, row.state in FINAL, found)


def _source(handle: str | None, segments: str | None, *, over: bool) -> Source:
    return Source(
        msgspec.json.decode(handle) if handle else None, decode_segments(segments) if segments else None, over
    )


class Logbook:
    """Reads logs for API and pages."""

    def __init__(self, db: Database, engines: Mapping[str, Engine], blobs: BlobStore) -> None:
        self._db = db
        self._engines = engines
        self._shipped = Shipped(blobs)
        self._closing: asyncio.TimerHandle | None = None
        self._feeds = Feeds(self, db)

    def _engine(self, group: str) -> Engine:
        """Raises Unavailable: what it still holds can be read once it is back."""
        engine = self._engines.get(group)
        if engine is None:
            raise Unavailable(
                f"the engine of group {group} cannot be reached now, and still holds this log; "
                f"`dais group get {group}` says why",
                code="group-away",
                retry_after=5,
            )
        return engine

    async def read(self, log: JobLog, position: Position | None, *, limit: int = 1 << 20) -> Slice:
        """Output from a position (None: the beginning of the latest run); does not wait for more."""
        position = position or Position(log.run_index)
        while True:
            result = await self._read_once(log, position, limit)
            if result is not None:
                return result
            # It moved from the engine to the blob store while we were reading: look again.
            log = await self.refresh(log)

    async def refresh(self, log: JobLog) -> JobLog:
        """Where the logs are now."""
        fresh: JobLog = await self._db.read(_job_log, log.job_id, log.group)
        return fresh

    async def _read_once(self, log: JobLog, position: Position, limit: int) -> Slice | None:
        run = log.runs.get(position.run)
        if run is None:
            return Slice([], position, position, log.final or position.run < log.run_index, False)
        if run.build is not None and not position.build and position.segment == 0 and position.offset == 0:
            position = replace(position, build=True)
        if run.expired_at is not None and not position.build and position.segment == position.offset == 0:
            return _expired(run, run.expired_at, position)
        source = run.build if position.build and run.build is not None else run.own
        chunk = await self._chunk(log, source, position, limit)
        if chunk is None:
            return None
        segment, offset = (int(part) for part in chunk.cursor.split(":"))
        after = replace(position, segment=segment, offset=offset)
        begin = before(after, chunk.frames)  # not always `position`: it may have been the end of the segment before
        if not chunk.eof:
            return Slice(chunk.frames, after, begin, False, run.truncated)
        if position.build:
            # The run's own output begins at offset 0, which would read as "with the build first": so read on now.
            own = await self._chunk(log, run.own, Position(position.run), limit)
            if own is None:
                return None
            if not own.frames and not own.eof:
                return Slice(chunk.frames, after, begin, False, run.truncated)
            if chunk.frames:
                return Slice(chunk.frames, after, begin, False, run.truncated)
            segment, offset = (int(part) for part in own.cursor.split(":"))
            done = own.eof and position.run >= log.run_index and log.final
            start = Position(position.run)
            return Slice(own.frames, Position(position.run, False, segment, offset), start, done, run.truncated)
        if position.run < log.run_index:
            return Slice(chunk.frames, Position(position.run + 1), begin, False, run.truncated)
        return Slice(chunk.frames, after, begin, log.final, run.truncated)

    async def _chunk(self, log: JobLog, source: Source, position: Position, limit: int) -> LogChunk | None:
        """Frames of one source; None when the source has moved while it was read."""
        if source.segments is not None:
            chunk = await asyncio.to_thread(self._shipped.read, source.segments, position, limit)
            self._closing = self._closing or asyncio.get_running_loop().call_later(KEPT_SECONDS, self._close)
            return chunk
        cursor = f"{position.segment}:{position.offset}"
        if source.handle is None:
            return LogChunk([], cursor, source.over)
        chunk = await self._engine(log.group).logs(source.handle, cursor, limit=limit)
        if chunk.eof:
            fresh = (await self.refresh(log)).runs.get(position.run)
            now = (fresh.build if position.build else fresh.own) if fresh is not None else None
            if now is None or now.segments is not None:
                return None
        return chunk

    def _close(self) -> None:
        """Let go of what was opened, one segment after the other."""
        left = self._shipped.close()
        self._closing = asyncio.get_running_loop().call_later(KEPT_SECONDS, self._close) if left else None

    async def follow(self, log: JobLog, position: Position | None, *, run: int | None = None) -> AsyncIterator[Slice]:
        """Slices as output comes, until the job, or `run` alone, has ended and all was said.

        Those who follow the same log are given the same slices.
        """
        position = position or Position(log.run_index)
        async with self._feeds.of(log) as feed:
            while run is None or position.run <= run:
                bell = feed.bell
                part = await feed.read(position)
                position = part.position
                if part.frames or part.eof:
                    yield part
                if part.eof:
                    return
                if not part.frames and part.position == part.start:
                    await feed.wait(bell)

    async def end(self, log: JobLog) -> tuple[str, ...]:
        """What changes when there is more output of the latest run than before."""
        run = log.runs.get(log.run_index)
        sources = (run.build, run.own) if run is not None else ()
        engine = self._engine(log.group)
        return tuple(
            [
                await engine.log_end(source.handle)
                for source in sources
                if source is not None and source.handle is not None and source.segments is None
            ]
        )

    async def tail(
        self, log: JobLog, position: Position | None, lines: int, *, stream: int | None = None
    ) -> tuple[list[Frame], Position, bool]:
        """The frames of the last `lines` lines of a run as it is now, where to go on, and whether that is all.

        Of the last 16 MiB at most: a line that is longer is cut at its beginning. With `stream`, of its lines only.
        """
        position = await self._shortly_before_the_end(log, position or Position(log.run_index))
        kept: deque[Frame] = deque()
        held = newlines = taken = 0
        while True:
            part = await self.read(log, position)
            position = part.position
            for frame in part.frames:
                taken += len(frame.data)
                if stream not in (None, frame.stream):
                    continue
                kept.append(frame)
                held += len(frame.data)
                newlines += frame.data.count(b"\n")
                while held > TAIL_BYTES or newlines - kept[0].data.count(b"\n") > lines:
                    dropped = kept.popleft()
                    held -= len(dropped.data)
                    newlines -= dropped.data.count(b"\n")
            # What a fast job prints meanwhile, and what its next run prints, is for those who follow.
            if part.eof or not part.frames or position.run != part.start.run or taken > 2 * TAIL_BYTES:
                return _cut(list(kept), lines), position, part.eof

    async def _shortly_before_the_end(self, log: JobLog, position: Position) -> Position:
        """The position, or a later one in the same run, with all of the tail after it."""
        run = log.runs.get(position.run)
        if run is None:
            return position
        last = 0
        if run.own.segments is not None:
            last = run.own.segments[-1].index if run.own.segments else 0
        elif run.own.handle is not None:
            end = await self._engine(log.group).log_end(run.own.handle)
            last = int(end.partition(":")[0])
        first = last - TAIL_BYTES // SEGMENT_BYTES
        return Position(position.run, False, first) if first > position.segment else position


def _expired(run: RunLog, at: int, position: Position) -> Slice:
    """What stands in the place of a log that has expired."""
    when = to_rfc3339(at)
    words = f"the log of run {run.index} expired on {when[:10]}: it was old, or room was needed\n"
    mark = Frame(at * 1000, SYSTEM, words.encode())
    after = replace(position, segment=0, offset=len(encode_frames([mark])))
    return Slice([mark], after, position, False, run.truncated)


def _cut(frames: list[Frame], lines: int) -> list[Frame]:
    """Drop what comes before the last `lines` lines. A last line without an end counts as one."""
    if lines <= 0:
        return []
    wanted = lines
    for index in range(len(frames) - 1, -1, -1):
        data = frames[index].data
        end = len(data) - 1 if index == len(frames) - 1 and data.endswith(b"\n") else len(data)
        while True:
            end = data.rfind(b"\n", 0, end)
            if end < 0:
                break
            wanted -= 1
            if wanted == 0:
                first = frames[index]
                rest = Frame(first.time_ns, first.stream, data[end + 1 :])
                return [frame for frame in (rest, *frames[index + 1 :]) if frame.data]
    return frames


def position_from(cursor: str | None, run: int | None) -> Position | None:
    """The place that a request names: a cursor, else the beginning of a run, else None. Raises Invalid."""
    if cursor:
        return parse_cursor(cursor)
    return None if run is None else Position(run)
