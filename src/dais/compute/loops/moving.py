"""Telling how far a run's data is on its way, while a thread moves it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dais.compute.jobs.progress import note_progress
from dais.kit.database import Database
from dais.kit.errors import DaisError

log = logging.getLogger(__name__)

SECONDS = 1.0
"""Between two lines of progress."""


class Stopped(Exception):
    """Nobody waits any more for what is moved."""


class Moved:
    """Bytes that were moved, of how many. A thread adds to it, the event loop looks."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.stopped = False

    def add(self, count: int) -> None:
        """So many bytes more are there. Raises Stopped."""
        if self.stopped:
            raise Stopped
        self.done += count


@asynccontextmanager
async def told(db: Database, run_id: str, phase: str, moved: Moved) -> AsyncIterator[Moved]:
    """While it lasts, write down every second what was moved; at once that it begins, and at the end what came.

    When the run has ended meanwhile, what moves is stopped.
    """
    await db.write(note_progress, run_id, phase, 0, moved.total)
    teller = asyncio.create_task(_tell(db, run_id, phase, moved), name=f"{phase} {run_id}")
    try:
        yield moved
    except BaseException:
        moved.stopped = True  # a thread cannot be cancelled
        raise
    finally:
        teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)
    await db.write(note_progress, run_id, phase, moved.done, moved.total)


async def _tell(db: Database, run_id: str, phase: str, moved: Moved) -> None:
    while True:
        await asyncio.sleep(SECONDS)
        try:
            if not await db.write(note_progress, run_id, phase, moved.done, moved.total):
                moved.stopped = True
        except DaisError as error:  # the next line tells it, too
            log.warning("the progress of run %s could not be noted: %s", run_id, error)
