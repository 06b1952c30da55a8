"""What those who follow one job's log share: one look-out for more, and what was read last.

Followers read by themselves, each from its own position, so that one who lags reads older output again from where it
lies and holds up nobody. Those who are at the same place, which is nearly always all of them, are given the same slice:
read once, and encoded once by whoever asks first (`Slice.memo`).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from dais.compute.logs import Position
from dais.kit.database import Database

if TYPE_CHECKING:
    from dais.compute.logbook import JobLog, Logbook, Slice

KEPT = 4
"""Slices that are kept for others who come to the same place."""
QUICK, SLOW, REFRESH = 0.002, 0.05, 1.0
"""Seconds between two looks for output while some comes and when none does, and between two looks at the job."""
SETTLE = 0.005
"""Seconds after news of jobs in which more of them count as the same: they come in swarms."""


class Feed:
    """One job's log, while somebody follows it. `log` says where it is now."""

    def __init__(self, book: Logbook, log: JobLog) -> None:
        self.log = log
        self.followers = 0
        self._book = book
        self._kept: OrderedDict[Position, Slice] = OrderedDict()
        self._reading: dict[Position, asyncio.Task[Slice]] = {}
        self._lookout: asyncio.Task[None] | None = None
        self.bell = asyncio.Event()
        """Rings once there may be more than what is read from now on; to be taken before reading."""

    def open(self, db: Database) -> None:
        """Begin to look out."""
        self._lookout = asyncio.create_task(self._look_out(db), name=f"look-out for the log of {self.log.job_id}")
        self._lookout.add_done_callback(lambda _: self._ring())

    async def close(self) -> None:
        """Stop looking out."""
        if self._lookout is not None:
            self._lookout.cancel()
            await asyncio.gather(self._lookout, return_exceptions=True)

    async def read(self, position: Position) -> Slice:
        """What lies at a position. Whoever comes while it is being read is given the same."""
        kept = self._kept.get(position)
        if kept is not None:
            return kept
        task = self._reading.get(position)
        if task is None:
            task = self._reading[position] = asyncio.create_task(self._book.read(self.log, position))
            task.add_done_callback(lambda done: self._keep(position, done))
        return await asyncio.shield(task)

    async def wait(self, bell: asyncio.Event) -> None:
        """Wait for a bell. Raises what ended the look-out."""
        if self._lookout is not None and self._lookout.done():
            self._lookout.result()
        await bell.wait()

    def _keep(self, position: Position, done: asyncio.Task[Slice]) -> None:
        fresh = self._reading.get(position) is done
        if fresh:
            del self._reading[position]
        if done.cancelled() or done.exception() is not None:
            return
        if fresh and done.result().frames:
            self._kept[position] = done.result()
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def _ring(self) -> None:
        """Wake everybody. What is being read now began before the news: who is woken must not be given it."""
        self._reading.clear()
        bell, self.bell = self.bell, asyncio.Event()
        bell.set()

    async def _look_out(self, db: Database) -> None:
        clock = asyncio.get_running_loop().time
        pause, looked, end = QUICK, 0.0, None
        with db.hints.subscribe("scheduler") as hint:
            while True:
                news = await hint.wait(pause)
                if news:
                    await asyncio.sleep(SETTLE)
                if news or clock() - looked > REFRESH or _is_waiting(self.log):
                    looked = clock()
                    fresh = await self._book.refresh(self.log)
                    if fresh != self.log:
                        self.log = fresh
                        self._kept.clear()
                        self._ring()
                now = await self._book.end(self.log)
                if now != end:
                    end, pause = now, QUICK
                    self._ring()
                elif not news:
                    pause = min(1.2 * pause, SLOW)


def _is_waiting(log: JobLog) -> bool:
    """Whether the latest run is about to be launched: where its log will be is noted without news."""
    run = log.runs.get(log.run_index)
    return not log.final and (run is None or (run.own.handle is None and run.own.segments is None))


class Feeds:
    """The feeds of all jobs whose logs are followed now."""

    def __init__(self, book: Logbook, db: Database) -> None:
        self._book = book
        self._db = db
        self._open: dict[str, Feed] = {}

    @asynccontextmanager
    async def of(self, log: JobLog) -> AsyncIterator[Feed]:
        """The feed of a job, for as long as the block lasts."""
        feed = self._open.get(log.job_id)
        if feed is None:
            feed = self._open[log.job_id] = Feed(self._book, log)
            feed.open(self._db)
        feed.followers += 1
        try:
            yield feed
        finally:
            feed.followers -= 1
            if not feed.followers:
                del self._open[log.job_id]
                await feed.close()
