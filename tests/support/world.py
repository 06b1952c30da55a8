"""A whole compute installation in one process: a real database, a fake machine, and the real loops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from dais.compute import Compute, ComputeSettings, get_job, kill_job, list_nodes, submit_job
from dais.data import BlobStore, FolderStore
from dais.engines.contract import Engine
from dais.engines.fake import FakeEngine, FakeMachine
from dais.identity import Actor, authenticate, bootstrap
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.database.work import NUMBERED, WRITTEN
from dais.kit.vault import KEY_FILE, Vault
from dais.wire.answers import JobDetail
from dais.wire.spec import JobSpec, Resources
from tests.support.attaching import Machines

T = TypeVar("T")
GROUP = "default"
PATIENCE = 60.0
"""Seconds after which something that must happen has not happened."""


class World:
    """Submits jobs as the administrator, and waits for what must come of them."""

    def __init__(self, database: Database, clock: ManualClock, directory: Path, **settings: Any) -> None:
        self.db = database
        self.clock = clock
        self.machine = FakeMachine(clock=clock)
        self.blobs = BlobStore(directory / "blobs")
        self.folders = FolderStore(directory / "folders")
        self.settings = ComputeSettings(**settings)
        self.directory = directory
        self.vault = Vault(directory / KEY_FILE)
        self.machines = Machines(clock)
        self.compute: Compute | None = None
        self.actor = self._administrator()

    def _administrator(self) -> Actor:
        made = self.db.write_sync(bootstrap, "joe")
        assert made is not None
        actor: Actor = self.db.read_sync(authenticate, made.token.secret).actor
        return actor

    async def open_engine(self) -> Engine:
        """The engine of the default group."""
        return FakeEngine(self.machine)

    async def start(self) -> Compute:
        """Start the loops, as a server does that comes up."""
        assert self.compute is None
        self.compute = Compute(
            self.db,
            {GROUP: await self.open_engine()},
            self.blobs,
            self.folders,
            self.settings,
            self.directory,
            self.vault,
            self.machines.kinds,
        )
        await self.compute.start()
        await self.until_true(self.has_nodes, "the nodes are known")
        return self.compute

    async def stop(self) -> None:
        """Stop the loops; the machine goes on."""
        if self.compute is not None:
            await self.compute.stop()
            self.compute = None

    async def submit(self, *command: str, key: str | None = None, **fields: Any) -> str:
        """Submit a scripted job (see `dais.engines.fake.script`) that asks for a tenth of a core."""
        resources = fields.pop("resources", Resources(cpu=0.1, mem=1 << 20))
        spec = JobSpec(command=command, resources=resources, **fields)
        made: JobDetail = await self.db.write(submit_job, self.actor, spec, self.settings, key=key)
        return made.id

    async def job(self, job_id: str) -> JobDetail:
        found: JobDetail = await self.db.read(get_job, self.actor, job_id)
        return found

    async def kill(self, job_id: str) -> None:
        await self.db.write(kill_job, self.actor, job_id)

    async def state(self, job_id: str, *states: str) -> JobDetail:
        """Wait until the job is in one of the states."""

        async def reached() -> JobDetail | None:
            job = await self.job(job_id)
            return job if job.state in states else None

        return await self.until(reached, f"job {job_id} is {' or '.join(states)}", self._tell(job_id))

    async def finished(self, job_id: str) -> JobDetail:
        """Wait for its final state."""
        return await self.state(job_id, "SUCCEEDED", "FAILED", "CANCELLED")

    async def until_true(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for a condition."""

        async def reached() -> bool | None:
            return (await condition()) or None

        await self.until(reached, what)

    async def until(
        self,
        condition: Callable[[], Awaitable[T | None]],
        what: str,
        story: Callable[[], Awaitable[object]] | None = None,
    ) -> T:
        """Wait, looking whenever something is committed, and fail loudly after a while."""
        topic = NUMBERED if self.db.dialect == "sqlite" else WRITTEN
        with self.db.hints.subscribe(topic) as events, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while True:
                    found = await condition()
                    if found is not None:
                        return found
                    await events.wait(0.05)
        raise AssertionError(f"it never came to this: {what}; {await story() if story else ''}")

    def _tell(self, job_id: str) -> Callable[[], Awaitable[object]]:
        async def story() -> object:
            return await self.job(job_id)

        return story

    async def has_nodes(self) -> bool:
        """Whether the group has told its machines."""
        return bool(await self.db.read(list_nodes, self.actor))


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    """The world with its loops started, and stopped at the end."""
    await world.start()
    try:
        yield world
    finally:
        await world.stop()
