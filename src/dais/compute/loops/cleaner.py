"""Cleaning up after ended runs, beside the dispatcher: the slots that they held should not wait for the disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from dais.compute.loops.group import Group
from dais.compute.loops.staging import clean_up

log = logging.getLogger(__name__)


class Cleaner:
    """One worker. What it did not come to is found by the sweep at the next start."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._queue: asyncio.Queue[str] = asyncio.Queue()

    def add(self, run_ids: Iterable[str]) -> None:
        """Remove what was staged for these runs."""
        for run_id in run_ids:
            self._queue.put_nowait(run_id)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            run_ids = [await self._queue.get()]
            while not self._queue.empty():
                run_ids.append(self._queue.get_nowait())
            try:
                await self._clean_up(run_ids)
            except Exception:
                log.exception("what was staged for runs %s could not be removed", ", ".join(run_ids))

    async def _clean_up(self, run_ids: Sequence[str]) -> None:
        """In one thread for all that reported nothing in a file, as most: going there takes longer than one of them."""
        reports = self._group.reports
        written = await asyncio.to_thread(self._clean_silent, run_ids)
        await reports.finish(run_ids, written)
        if written:
            await asyncio.to_thread(clean_up, self._group, written)

    def _clean_silent(self, run_ids: Sequence[str]) -> list[str]:
        """Clean up after the runs that have no file of reports; those that have. Blocking."""
        written = self._group.reports.written(run_ids)
        clean_up(self._group, [run_id for run_id in run_ids if run_id not in written])
        return written
