"""Shipping outputs and logs of ended runs into the blob store; then the job may reach its final state."""

from __future__ import annotations

import asyncio
import logging

from dais.compute.jobs.outputs import Sealing, pending_output
from dais.compute.jobs.runs import close_run
from dais.compute.logs import ship
from dais.compute.loops.group import Group
from dais.compute.loops.housekeeping import ship_handle
from dais.compute.loops.sealing import seal
from dais.compute.loops.staging import clean_up
from dais.kit.errors import DaisError

log = logging.getLogger(__name__)

WORKERS = 4
SEALERS = 2
"""How many outputs are taken at once; so logs need not wait for them."""


class Shipper:
    """A few workers that take runs in the order in which they ended. What fails is taken up by the next reconcile."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._outputs: asyncio.Queue[Sealing] = asyncio.Queue()
        self._known: set[str] = set()
        self.sealing: set[str] = set()
        """Runs whose output waits, or is taken now."""

    def add(self, run_id: str) -> None:
        """Ship this run's log, unless that is under way."""
        if run_id not in self._known:
            self._known.add(run_id)
            self._queue.put_nowait(run_id)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._work())
            for _ in range(SEALERS):
                tasks.create_task(self._work_on_outputs())

    async def _work(self) -> None:
        while True:
            run_id = await self._queue.get()
            try:
                sealing = await self._group.db.read(pending_output, run_id)
                if sealing is None:
                    await self._ship(run_id)
                elif run_id not in self.sealing:
                    self.sealing.add(run_id)
                    self._outputs.put_nowait(sealing)
            except (DaisError, OSError) as error:
                log.warning("the log of run %s could not be stored, it will be tried again: %s", run_id, error)
            except Exception:
                log.exception("the log of run %s could not be stored", run_id)
            finally:
                self._known.discard(run_id)

    async def _work_on_outputs(self) -> None:
        while True:
            sealing = await self._outputs.get()
            try:
                await seal(self._group, sealing)
            except (DaisError, OSError) as error:
                log.warning("the output of run %s could not be taken, it is tried again: %s", sealing.run_id, error)
            except Exception:
                log.exception("the output of run %s could not be taken", sealing.run_id)
            else:
                self.add(sealing.run_id)
            finally:
                self.sealing.discard(sealing.run_id)

    async def _ship(self, run_id: str) -> None:
        group = self._group
        handle = await group.db.read(ship_handle, run_id)
        if handle is None:
            return
        segments = await ship(group.engine, handle, group.blobs)
        await group.reports.finish([run_id])
        await group.db.write(close_run, run_id, segments)
        await group.engine.forget([handle])
        group.handles.pop(run_id, None)
        await asyncio.to_thread(clean_up, group, [run_id])
