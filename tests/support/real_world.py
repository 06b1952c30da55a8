"""A world with a real engine: jobs are processes, and something can be done inside them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from dais.compute import Work, new_group, rescan_store, running_work
from dais.engines.container import ContainerEngine
from dais.engines.contract import Engine, ExecStream
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.wire.spec import Resources
from tests.support.boxes import DockerMachines, is_open
from tests.support.engines import Harness, drain
from tests.support.world import GROUP, World, running

BOXES = "boxes"
UID = 20_001
"""Whom jobs in containers run as."""
SMALL = "small:latest"


class RealWorld(World):
    """A world on a harness's machine: its engine is the default group's, or a second group's where it is one of
    containers."""

    def __init__(self, database: Database, clock: ManualClock, directory: Path, harness: Harness) -> None:
        super().__init__(database, clock, directory)
        self.engine = harness.make()
        self.where: dict[str, Any] = {"group": GROUP}
        if isinstance(self.engine, ContainerEngine):
            self.machine.host = msgspec.structs.replace(self.machine.host, uid=UID, gid=UID)
            self.machines = DockerMachines(clock, self.engine)
            self.where = {"group": BOXES, "image": SMALL}

    async def open_engine(self) -> Engine:
        return await super().open_engine() if isinstance(self.engine, ContainerEngine) else self.engine

    async def open_boxes(self) -> None:
        """Attach the group of containers, if there is one, with the images that it has."""
        if isinstance(self.engine, ContainerEngine):
            await self.db.write(new_group, self.actor, BOXES, "docker", {}, "")
            await self.until_true(lambda: self.db.read(is_open, BOXES), "the group is open")
            await self.db.write(rescan_store, self.actor, BOXES, await self.engine.images())

    async def running_job(self, *command: str, **fields: Any) -> Work:
        """A job that runs now, by default one that waits to be killed."""
        small = {"resources": Resources(cpu=0.1, mem=256 << 20)}
        job = await self.submit(*(command or ("/bin/sh", "-c", "sleep 600")), **(small | self.where | fields))
        reached = await self.state(job, "RUNNING", "FAILED", "CANCELLED", "SUCCEEDED")
        assert reached.state == "RUNNING", reached.detail
        work: Work = await self.db.write(running_work, self.actor, job, "job:exec")
        return work


@contextlib.asynccontextmanager
async def real_world(
    database: Database, clock: ManualClock, directory: Path, harness: Harness
) -> AsyncIterator[RealWorld]:
    """A world with its loops and its engine started; everything in it is ended afterwards."""
    for path in (directory, *directory.parents[:3]):
        path.chmod(path.stat().st_mode | 0o011)
    try:
        async with running(RealWorld(database, clock, directory, harness)) as world:
            assert isinstance(world, RealWorld)
            await world.open_boxes()
            yield world
    finally:
        await harness.close()


async def all_of(stream: ExecStream) -> tuple[bytes, bytes, int]:
    """What a command prints on both streams, and its exit code."""
    try:
        return await drain(stream)
    finally:
        await stream.close()
