"""Shells that the server holds, in a fake container whose shell is `cat`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from dais.compute import Compute, Held, TerminalSettings, Viewer, Work, running_work
from dais.compute.terminals import held as held_module
from dais.compute.terminals.desk import Terminals
from dais.kit.clock import ManualClock
from dais.kit.database import open_database
from dais.kit.errors import NotFound, TooMany
from tests.support.database import sqlite_url
from tests.support.world import World, running

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(clock: ManualClock, tmp_path: Path) -> AsyncIterator[World]:
    """They do not touch the database: SQLite."""
    with sqlite_url() as url, closing(open_database(url, clock)) as database:
        async with running(World(database, clock, tmp_path)) as one:
            yield one


async def in_job(world: World, settings: TerminalSettings) -> tuple[Terminals, Work, str]:
    """Terminals, a running job, and a user."""
    job = await world.submit("sleep-forever")
    await world.state(job, "RUNNING")
    work = await world.db.read(running_work, world.actor, job, "job:exec")
    compute: Compute | None = world.compute
    assert compute is not None
    terminals = compute.terminals
    terminals.settings = settings
    terminals.shell = ("cat",)
    return terminals, work, world.actor.id


def why(held: Held) -> str:
    return held.over


async def soon(true: bool) -> bool:
    return true


async def seen(held: Held, viewer: Viewer, wanted: bytes) -> None:
    """Draw until a page has been sent this."""
    got = b""
    async with asyncio.timeout(20):
        while wanted not in got:
            viewer.news.clear()
            got += held.next(viewer)
            held.drew(viewer, viewer.at)
            if wanted not in got and viewer.at == held.replay.end:
                await viewer.news.wait()


async def test_two_pages_look_at_one_shell_and_the_size_follows_who_types(world: World) -> None:
    terminals, work, user = await in_job(world, TerminalSettings())
    held = await terminals.open(work, user, 24, 80)
    one, two = Viewer.of_size(24, 80), Viewer.of_size(50, 200)
    assert await held.join(one, None) is not None
    await held.send(one, b"hello")
    await seen(held, one, b"hello")
    await held.join(two, None)
    assert (held.rows, held.cols) == (50, 200)
    await seen(held, two, b"hello")
    await held.send(one, b" again")
    assert (held.rows, held.cols) == (24, 80)
    await seen(held, two, b" again")
    held.leave(two)
    again = Viewer.of_size(24, 80)
    assert await held.join(again, 6) is None, "it goes on where it was"
    await seen(held, again, b"again")
    assert await held.join(Viewer.of_size(1, 1), 12345) is not None


async def test_a_shell_is_its_owners_and_ends_where_nobody_looks(world: World) -> None:
    terminals, work, user = await in_job(world, TerminalSettings(unwatched=60))
    held = await terminals.open(work, user, 24, 80)
    assert terminals.of(work.run_id, user) == [held]
    assert terminals.of(work.run_id, "somebody else") == []
    with pytest.raises(NotFound, match="the server was started again"):
        terminals.find(held.id, work.run_id, "somebody else")
    viewer = Viewer.of_size(24, 80)
    await held.join(viewer, None)
    world.clock.advance(3600)
    await terminals.sweep()
    assert why(held) == ""
    held.leave(viewer)
    world.clock.advance(61)
    await terminals.sweep()
    assert why(held) == "unwatched"
    with pytest.raises(NotFound, match="nobody had looked at it"):
        terminals.find(held.id, work.run_id, user)


async def test_there_are_limits(world: World) -> None:
    terminals, work, user = await in_job(world, TerminalSettings(per_job=2, per_user=3))
    for _ in range(2):
        await terminals.open(work, user, 24, 80)
    with pytest.raises(TooMany, match="2 shells open in this job"):
        await terminals.open(work, user, 24, 80)
    other, elsewhere, _ = await in_job(world, terminals.settings)
    await other.open(elsewhere, user, 24, 80)
    with pytest.raises(TooMany, match="3 shells open in your jobs"):
        await other.open(elsewhere, user, 24, 80)
    await terminals.open(work, "somebody else", 24, 80)


async def test_a_shell_waits_for_its_page_and_cuts_one_that_draws_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_module, "SLOW_SECONDS", 0.05)
    terminals, work, user = await in_job(world, TerminalSettings(replay=256 << 10))
    held = await terminals.open(work, user, 24, 80)
    slow, bystander = Viewer.of_size(24, 80), Viewer.of_size(24, 80)
    await held.join(bystander, None)
    await held.join(slow, None)
    for _ in range(64):
        await held.send(slow, b"x" * 16384)
    async with asyncio.timeout(20):
        while not slow.cut:
            slow.news.clear()
            held.next(slow)  # sent, and never drawn
            await slow.news.wait()
        held.leave(slow)
        await world.until_true(lambda: soon(held.replay.end == 1 << 20), "the shell goes on")
    assert slow.at <= held_module.WINDOW
    assert held.replay.end - held.replay.start <= 256 << 10
    assert held.next(bystander) == b""
    assert bystander.cut


async def test_a_job_that_ends_takes_its_shells_with_it(world: World) -> None:
    terminals, work, user = await in_job(world, TerminalSettings())
    held = await terminals.open(work, user, 24, 80)
    assert world.compute is not None
    activity = world.compute.activity
    await world.until_true(lambda: soon(activity.opened(work.run_id) == {"terminal": 1}), "it is known to be open")
    await world.kill(work.job_id)
    await world.finished(work.job_id)
    await world.until_true(lambda: soon(not terminals.of(work.run_id, user)), "the shell has ended")
    assert held.exit_code == 137
    assert activity.opened(work.run_id) == {}
