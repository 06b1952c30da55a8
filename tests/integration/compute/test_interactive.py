"""Interactive jobs: how many, for how long, what ends them, and what is in their home. By a clock that tests move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dais.compute import (
    Compute,
    IdleWatch,
    InteractiveSettings,
    list_dotfiles,
    own_interactive_limits,
    read_dotfile,
    remove_dotfile,
    retry_job,
    running_work,
    set_dotfile,
    set_interactive_limit,
)
from dais.engines.contract import Usage
from dais.identity import create_account
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
    with pytest.raises(Conflict, match=f"1 interactive job already, which is the limit in local.joe: mine; .*{first}"):
        await world.submit("sleep-forever", type="interactive")
    await world.submit("sleep-forever")
    await world.kill(first)
    await world.finished(first)
    await interactive(world)


async def test_a_retry_is_one_more_of_its_owner(world: World) -> None:
    first = await interactive(world)
    await world.kill(first)
    await world.finished(first)
    second = await interactive(world)
    with pytest.raises(Conflict, match="1 interactive job already") as refused:
        await world.db.write(retry_job, world.actor, first, world.settings)
    assert refused.value.code == "interactive-job-exists"
    await world.kill(second)
    await world.finished(second)
    await world.db.write(retry_job, world.actor, first, world.settings)
    await world.state(first, "RUNNING")


async def test_organizations_and_accounts_have_limits_of_their_own(world: World) -> None:
    actor = world.actor
    lab = await world.db.write(create_account, actor, "lab")
    below = await world.db.write(create_account, actor, "below", lab.id)
    other = await world.db.write(create_account, actor, "other")
    await world.db.write(set_interactive_limit, actor, actor.organization_id, 2)
    await world.db.write(set_interactive_limit, actor, lab.id, 4)
    assert await world.db.read(own_interactive_limits, [lab.id, below.id, actor.organization_id]) == {
        lab.id: 4, actor.organization_id: 2
    }  # fmt: skip
    for place in (None, other.full_name):
        await interactive(world, account=place)
    with pytest.raises(Conflict, match=f"at least 2 interactive jobs already, which is the limit in {other.full_name}"):
        await world.submit("sleep-forever", type="interactive", account=other.full_name)
    for place in (lab, below):  # what is below has the limit of what it lies in
        await interactive(world, account=place.full_name)
    with pytest.raises(Conflict, match=f"at least 4 .* in {below.full_name}"):
        await world.submit("sleep-forever", type="interactive", account=below.full_name)
    await world.db.write(set_interactive_limit, actor, below.id, 0)
    await interactive(world, account=below.full_name)
    await world.db.write(set_interactive_limit, actor, below.id, None)
    with pytest.raises(Conflict):
        await world.submit("sleep-forever", type="interactive", account=below.full_name)
    for most in (-1, 1001):
        with pytest.raises(Invalid, match=f"cannot have {most} interactive jobs"):
            await world.db.write(set_interactive_limit, actor, lab.id, most)


async def test_what_is_remembered_of_a_run_goes_with_it(world: World) -> None:
    ended, lives = await world.submit("print", "x"), await interactive(world)
    await world.finished(ended)
    runs = {job: (await world.job(job)).runs[-1].id for job in (ended, lives)}
    compute = world.compute
    assert compute is not None
    work = await world.db.read(running_work, world.actor, lives, "job:exec")
    for run in runs.values():
        compute.activity.note(run, "connection")
        compute.apps._run(msgspec.structs.replace(work, run_id=run))
    await compute.forget_ended()
    assert compute.activity.runs() == compute.apps.runs() == {runs[lives]}
    await world.kill(lives)
    await world.finished(lives)
    await compute.forget_ended()
    assert compute.activity.runs() == compute.apps.runs() == set()


async def test_who_has_keys_for_ssh_is_given_none(world: World) -> None:
    await world.db.write(set_dotfile, world.actor, world.vault, ".ssh/authorized_keys", b"ssh-ed25519 mine\n")
    container = world.machine.container((await world.job(await interactive(world))).runs[-1].id)
    assert container is not None
    assert [file.target for file in container.spec.files] == ["/home/work/.ssh/authorized_keys"]
    assert container.spec.files[0].content == b"ssh-ed25519 mine\n"


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
    given = {file.target: file.content for file in container.spec.files}
    key = given.pop("/home/work/id_container")
    assert key.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    assert given.pop("/home/work/.ssh/authorized_keys").startswith(b"ssh-ed25519 ")
    assert given == {"/home/work/.aws/config": b"new", "/home/work/.bashrc": b"alias ll='ls -l'\n"}
    await world.db.write(remove_dotfile, actor, ".bashrc")
    with pytest.raises(NotFound, match="no dotfile"):
        await world.db.read(read_dotfile, actor, vault, ".bashrc")
