"""Interactive jobs: how many, for how long, what ends them, and what is in their home. By a clock that tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dais.compute import (
    Compute,
    IdleWatch,
    InteractiveSettings,
    list_dotfiles,
    read_dotfile,
    remove_dotfile,
    set_dotfile,
)
from dais.engines.contract import Usage
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Conflict, Invalid, NotFound
from tests.support.world import World, running

pytestmark = pytest.mark.anyio

HOUR = 3600


@pytest.fixture
async def world(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[World]:
    async with running(World(database, clock, tmp_path, interactive_max_run_time=86_400)) as one:
        yield one


async def interactive(world: World, **fields: Any) -> str:
    job = await world.submit("sleep-forever", type="interactive", **fields)
    await world.state(job, "RUNNING")
    return job


def watch(world: World, **fields: object) -> tuple[IdleWatch, Compute]:
    """A watch that began just now, over jobs whose CPU is not looked at unless told."""
    assert world.compute is not None
    settings = InteractiveSettings(**{"idle_timeout": HOUR, "signs": ("terminal", "kernel"), **fields})  # type: ignore[arg-type]
    return IdleWatch(world.db, world.compute, settings), world.compute


async def later(world: World, idle: IdleWatch, seconds: float) -> None:
    world.clock.advance(seconds)
    await idle.note()
    await idle.look()


async def test_a_user_has_one_interactive_job(world: World) -> None:
    first = await interactive(world, name="mine")
    with pytest.raises(Conflict, match=f"1 interactive job already, which is the limit: mine; .*{first}"):
        await world.submit("sleep-forever", type="interactive")
    await world.submit("sleep-forever")
    await world.kill(first)
    await world.finished(first)
    await interactive(world)


async def test_its_limits_are_checked_at_the_submit(world: World) -> None:
    with pytest.raises(Invalid, match="max_run_time is 2d; an interactive job may run for 1d"):
        await world.submit("sleep-forever", type="interactive", max_run_time=2 * 86_400)
    with pytest.raises(Invalid, match="idle_timeout is of interactive jobs"):
        await world.submit("sleep-forever", idle_timeout=60)
    job = await interactive(world)
    run = (await world.job(job)).runs[-1]
    container = world.machine.container(run.id)
    assert container is not None
    assert container.spec.limits.time == 86_400


async def test_a_job_that_nobody_uses_is_warned_of_and_stopped(world: World) -> None:
    job = await interactive(world)
    idle, _ = watch(world)
    await later(world, idle, 49 * 60)
    assert (await world.job(job)).idle_warning is None
    await later(world, idle, 2 * 60)
    warning = (await world.job(job)).idle_warning
    assert warning is not None
    assert "Nothing happens in this job" in warning
    await later(world, idle, 11 * 60)
    ended = await world.finished(job)
    assert (ended.state, ended.reason) == ("FAILED", "idle-timeout")


async def test_who_uses_it_keeps_it(world: World) -> None:
    job = await interactive(world)
    idle, compute = watch(world)
    run = (await world.job(job)).runs[-1].id
    await later(world, idle, 55 * 60)
    assert (await world.job(job)).idle_warning is not None
    compute.activity.note(run, "terminal")
    await later(world, idle, 1)
    assert (await world.job(job)).idle_warning is None
    with compute.activity.open(run, "kernel"):
        for _ in range(5):
            await later(world, idle, HOUR)
        assert (await world.job(job)).idle_warning is None
    for _ in range(6):
        await later(world, idle, 11 * 60)
    compute.activity.note(run, "connection")  # which is no sign here
    await later(world, idle, 11 * 60)
    assert (await world.finished(job)).reason == "idle-timeout"


async def test_a_restarted_server_kills_nothing_at_once(world: World) -> None:
    job = await interactive(world)
    world.clock.advance(100 * HOUR)
    idle, _ = watch(world)
    await later(world, idle, 1)
    assert (await world.job(job)).idle_warning is None
    await later(world, idle, 51 * 60)
    again, _ = watch(world)
    await later(world, again, 11 * 60)
    assert (await world.job(job)).state == "RUNNING"
    assert (await world.job(job)).idle_warning is None


async def test_its_own_timeout_comes_first(world: World) -> None:
    job = await interactive(world, idle_timeout=0)
    idle, _ = watch(world)
    await later(world, idle, 1000 * HOUR)
    await later(world, idle, 1000 * HOUR)
    assert (await world.job(job)).state == "RUNNING"
    await world.kill(job)
    await world.finished(job)
    job = await interactive(world, idle_timeout=60)
    await later(world, idle, 31)
    assert (await world.job(job)).idle_warning is not None
    await later(world, idle, 31)
    assert (await world.finished(job)).reason == "idle-timeout"


async def test_cpu_is_a_sign_and_what_is_not_known_is_not_idle(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = await interactive(world)
    idle, compute = watch(world, signs=("cpu",))
    used: list[Usage | None] = [None]

    async def usage(work: object) -> Usage | None:
        return used[0]

    monkeypatch.setattr(compute, "usage", usage)
    await later(world, idle, 2 * HOUR)
    assert (await world.job(job)).idle_warning is None
    for seconds in (0.0, HOUR * 0.5, HOUR * 0.7):
        used[0] = Usage(cpu_seconds=seconds)
        await later(world, idle, HOUR * 0.9)
        assert (await world.job(job)).state == "RUNNING"
    await later(world, idle, HOUR)
    assert (await world.job(job)).idle_warning is not None
    await later(world, idle, HOUR)
    assert (await world.finished(job)).reason == "idle-timeout"


async def test_dotfiles_are_set_and_given(world: World) -> None:
    vault, actor = world.vault, world.actor
    await world.db.write(set_dotfile, actor, vault, "~/.bashrc", b"alias ll='ls -l'\n")
    await world.db.write(set_dotfile, actor, vault, ".aws/config", b"old", 0o600)
    await world.db.write(set_dotfile, actor, vault, ".aws/config", b"new", 0o600)
    await world.db.write(set_dotfile, actor, vault, "bootstrap", b"echo hello\n")
    assert [one.path for one in await world.db.read(list_dotfiles, actor)] == [".aws/config", ".bashrc", "bootstrap"]
    assert await world.db.read(read_dotfile, actor, vault, ".aws/config") == b"new"
    for path in ("bashrc", "../.x", ".a/../../b", "/etc/passwd", ""):
        with pytest.raises(Invalid, match="dotfile"):
            await world.db.write(set_dotfile, actor, vault, path, b"")
    with pytest.raises(Invalid, match="at most 65,536"):
        await world.db.write(set_dotfile, actor, vault, ".big", b"x" * 70_000)
    await world.db.write(remove_dotfile, actor, "bootstrap")  # the fake machine has no shell
    container = world.machine.container((await world.job(await interactive(world))).runs[-1].id)
    assert container is not None
    assert {file.target: file.content for file in container.spec.files} == {
        "/home/work/.aws/config": b"new",
        "/home/work/.bashrc": b"alias ll='ls -l'\n",
    }
    await world.db.write(remove_dotfile, actor, ".bashrc")
    with pytest.raises(NotFound, match="no dotfile"):
        await world.db.read(read_dotfile, actor, vault, ".bashrc")
