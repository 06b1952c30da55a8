"""Keeping warm sandboxes: as many as are likely to be wanted, begun in idle time, by one server of all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from dais.compute.code.warm import NOT_NEEDED, WARM_TOPIC, Refilled, give_back, living, mark_ready, refill
from dais.compute.groups.queries import DEFAULT_GROUP, group_row
from dais.compute.jobs.running import system_work
from dais.compute.launch import has_host_image
from dais.engines.contract import LaunchRefused
from dais.kit.errors import Conflict, DaisError
from dais.kit.leases import Lease, LeasedLoop

if TYPE_CHECKING:
    from dais.compute.jobs.types import Work
    from dais.compute.runtime import Compute
    from dais.compute.settings import ComputeSettings
    from dais.kit.database import Database, UnitOfWork

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How often it is looked at without being asked."""
SOON_SECONDS = 0.1
"""How often while some start."""


class Pool:
    """The loop. Off where jobs are not kept from each other: what was started there could have been looked into."""

    def __init__(self, compute: Compute, db: Database) -> None:
        self._compute = compute
        self._db = db
        self._holds = False
        self.loop = LeasedLoop(db, "warm sandboxes", self._step, topic=WARM_TOPIC, interval=LOOK_SECONDS)

    @property
    def works(self) -> bool:
        """Whether there can be any here."""
        group = self._compute.groups.get(DEFAULT_GROUP)
        return group is not None and group.host.isolation == "sandbox" and has_host_image(group.host)

    async def put_away(self) -> None:
        """This server stops: end what nobody has taken, unless another server has charge of it."""
        if not self._holds:
            return
        with contextlib.suppress(DaisError, OSError):
            for work in await self._db.write(_end_all):
                group, handle = self._compute.running(work)
                await group.engine.stop(handle, grace=0.0, reason="user-request")

    async def _step(self, _lease: Lease) -> None:
        self._holds = True
        while True:
            refilled: Refilled = await self._db.write(fill, self._compute.settings, self.works)
            for job_id in refilled.cold:
                await self._warm(job_id)
                await self._db.write(mark_ready, job_id)
            for job_id in refilled.ready:  # keeps the connection to it, and sees that its Python is there
                await self._warm(job_id)
            if not refilled.starting:
                return
            await asyncio.sleep(SOON_SECONDS)

    async def _warm(self, job_id: str) -> None:
        """Have Python started in it; one in which that cannot be done is given back. Raises DaisError."""
        try:
            work = await self._db.read(system_work, job_id)
            if work is not None:
                await self._compute.code.warm(work)
        except Conflict:
            return  # it has just ended, or been taken
        except (DaisError, OSError, LaunchRefused):
            await self._db.write(give_back, job_id, "no Python could be started in it")
            raise


def fill(uow: UnitOfWork, settings: ComputeSettings, works: bool) -> Refilled:
    """Keep as many as are likely to be wanted; none where there cannot be any."""
    group = group_row(uow, DEFAULT_GROUP)
    if group is None or not works:
        for row in living(uow):
            give_back(uow, row.id, NOT_NEEDED)
        return Refilled()
    return refill(uow, settings, group.default_image)


def _end_all(uow: UnitOfWork) -> list[Work]:
    """Give all of them back; those that run."""
    found = []
    for row in living(uow):
        work = None
        with contextlib.suppress(DaisError):
            work = system_work(uow, row.id)
        if give_back(uow, row.id, NOT_NEEDED) and work is not None:
            found.append(work)
    return found
