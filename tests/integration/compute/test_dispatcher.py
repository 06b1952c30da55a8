"""The dispatcher's loops beside each other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dais.compute.groups.commands import register_group
from dais.compute.jobs.records import placed_works
from dais.compute.loops.dispatcher import Dispatcher
from dais.compute.loops.group import Group
from dais.engines.contract import Engine, Handle, LaunchSpec
from dais.engines.fake import FakeEngine, FakeMachine
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from tests.support.world import GROUP, World

pytestmark = pytest.mark.anyio

MUST_NOT_HAPPEN = 0.5
"""Seconds in which something would have happened."""


class HeldLaunches(FakeEngine):
    """Each call of `launch` is announced, and waits until it is let go."""

    def __init__(self, machine: FakeMachine) -> None:
        super().__init__(machine)
        self.called = [asyncio.Event(), asyncio.Event()]
        self.let_go = [asyncio.Event(), asyncio.Event()]
        self._calls = 0

    async def launch(self, specs: Sequence[LaunchSpec]) -> list[Handle]:
        number, self._calls = self._calls, self._calls + 1
        self.called[number].set()
        await self.let_go[number].wait()
        return await super().launch(specs)


@asynccontextmanager
async def dispatching(world: World, engine: Engine) -> AsyncIterator[Dispatcher]:
    """A dispatcher at work, once it knows the engine's nodes."""
    host = await engine.host_tools()
    group = Group(
        GROUP, engine, world.db, world.blobs, world.folders, world.settings, world.directory, host, world.vault
    )
    await world.db.write(register_group, GROUP, engine.name, "host")
    dispatcher = Dispatcher(group)
    working = asyncio.create_task(dispatcher.run())
    try:
        await world.until_true(world.has_nodes, "the nodes are known")
        yield dispatcher
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_a_reconcile_does_not_launch_what_a_tick_is_launching(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    world = World(database, clock, tmp_path)
    engine = HeldLaunches(world.machine)
    async with dispatching(world, engine) as dispatcher:
        job_id = await world.submit("exit", "0")
        async with asyncio.timeout(20):
            await engine.called[0].wait()
        dispatcher.ask_engine()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MUST_NOT_HAPPEN):
                await engine.called[1].wait()
        engine.let_go[0].set()
        await world.finished(job_id)
        await world.until_true(lambda: _forgotten(world), "the machine has forgotten the run")
        engine.let_go[1].set()
        assert len(world.machine.launched) == 1
        assert not engine.called[1].is_set()


class Forgetful(FakeEngine):
    """Takes the first launches, and knows nothing of them."""

    def __init__(self, machine: FakeMachine) -> None:
        super().__init__(machine)
        self.lost: list[Handle] = []

    async def launch(self, specs: Sequence[LaunchSpec]) -> list[Handle]:
        if self.lost or not specs:
            return await super().launch(specs)
        self.lost = [{"attempt_id": spec.attempt_id} for spec in specs]
        return self.lost


async def test_what_an_engine_says_it_never_had_is_launched_again(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    world = World(database, clock, tmp_path)
    engine = Forgetful(world.machine)
    async with dispatching(world, engine):
        job_id = await world.submit("exit", "0")
        await world.until_true(lambda: _launched(world, engine), "it is launched, and that is written down")
        [status] = await engine.poll(engine.lost)
        world.machine.mailbox.post(status)
        assert (await world.finished(job_id)).state == "SUCCEEDED"
        assert len(world.machine.launched) == 1


async def _launched(world: World, engine: Forgetful) -> bool:
    works = await world.db.read(placed_works, GROUP)
    return bool(engine.lost) and any(work.launched_at is not None for work in works)


async def _forgotten(world: World) -> bool:
    return world.machine.ended() == []
