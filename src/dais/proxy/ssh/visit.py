"""One connection after its key was shown: who has come, to which job, and whether they still may be there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from dais.compute import Compute, Work, find_job, running_work
from dais.identity import CHANGED, Actor
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import DaisError, Forbidden, NotFound, Unauthenticated

ACTION = "job:exec"
ASK_SECONDS = 10.0
"""How often it is asked without a hint whether somebody may go on."""
PAUSE_SECONDS = 0.2

Proof = Callable[[UnitOfWork], Actor]
"""Who has come, as they are now. Raises Unauthenticated once what they have shown is worth nothing any more."""
Refused = Callable[[Actor | None, BaseException], Awaitable[None]]
"""Writes down what somebody was refused."""


@dataclass
class Visit:
    """`ref` is what was typed before the `@`: the job. `address` is where the connection comes from."""

    db: Database
    compute: Compute
    refused: Refused
    proof: Proof
    actor: Actor
    ref: str
    work: Work | None = field(default=None, init=False)

    async def enter(self) -> Work:
        """The job's running container, for a shell, a command or a forwarded port; permission is asked each time.

        A name means the job that it meant first, as long as the connection lasts. Raises NotFound, Forbidden,
        Conflict `not-running`, Unauthenticated.
        """
        try:
            # It changes no row, but whoever does it is written down: the audit log is the writing.
            work: Work = await self.db.write(self._enter)
        except DaisError as error:
            await self.refused(self.actor, error)
            raise
        self.work = work
        return work

    async def again(self) -> Work:
        """The same for one of many forwarded connections, which are not written down one by one."""
        if self.work is None:
            return await self.enter()
        try:
            work: Work = await self.db.read(self._enter)
        except DaisError as error:
            await self.refused(self.actor, error)
            raise
        return work

    def _enter(self, uow: UnitOfWork) -> Work:
        actor = self.proof(uow)
        self.actor = actor
        return running_work(uow, actor, self.work.job_id if self.work else self.ref, ACTION)

    async def until_refused(self) -> DaisError:
        """Wait until they may not go on; why."""
        with self.db.hints.subscribe(CHANGED) as hint:
            while True:
                await hint.wait(ASK_SECONDS)
                try:
                    await self.db.read(self._still)
                except (Unauthenticated, Forbidden, NotFound) as error:
                    return error
                except DaisError:
                    continue  # the database is away: what cannot be asked is asked again
                await asyncio.sleep(PAUSE_SECONDS)

    def _still(self, uow: UnitOfWork) -> None:
        actor = self.proof(uow)
        if self.work is not None:
            find_job(uow, actor, self.work.job_id, action=ACTION)
