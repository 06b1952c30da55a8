"""Secrets, from being set to the job that is given them; on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from dais.compute import get_secret, list_secrets, remove_secret, reseal_secrets, set_secret
from dais.identity import Actor, authenticate, create_account, create_token, create_user, grant_account
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Statement, UnitOfWork
from dais.kit.errors import Forbidden, Invalid, NotFound, TooMany
from dais.kit.vault import Vault
from dais.wire.spec import Resources, SecretUse
from tests.support.world import World, running

pytestmark = pytest.mark.anyio

VALUE = "correct-horse-battery-staple"
LARGE = Resources(cpu=8, mem=1 << 30)
TOKEN = (SecretUse(name="TOKEN"),)


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


async def put(world: World, name: str, value: str | bytes = VALUE, actor: Actor | None = None, **more: Any) -> None:
    data = value if isinstance(value, bytes) else value.encode()
    await world.db.write(set_secret, actor or world.actor, world.vault, name, data, **more)


async def user(world: World, name: str) -> Actor:
    made = await world.db.write(create_user, world.actor, name)
    token = await world.db.write(create_token, world.actor, user_id=made.id)
    found: Actor = (await world.db.read(authenticate, token.secret)).actor
    return found


async def output(world: World, job_id: str) -> str:
    job = await world.finished(job_id)
    assert job.state == "SUCCEEDED", job
    assert world.compute is not None
    from dais.compute import job_log

    part = await world.compute.logbook.read(await world.db.read(job_log, world.actor, job_id), None)
    return b"".join(frame.data for frame in part.frames).decode()


async def test_a_job_is_given_the_value_that_holds_when_it_starts(world: World) -> None:
    await put(world, "TOKEN", "before")
    async with running(world):
        uses = (*TOKEN, SecretUse(name="TOKEN", variable="OTHER"))
        script = ("env", "TOKEN", ";", "env", "OTHER")
        assert await output(world, await world.submit(*script, secrets=uses)) == "before\nbefore\n"
        await put(world, "TOKEN", VALUE)
        job_id = await world.submit(*script, secrets=uses)
        assert await output(world, job_id) == f"{VALUE}\n{VALUE}\n"
        job = await world.job(job_id)
        assert job.spec.secrets == uses
        assert VALUE not in repr(job)


async def test_a_value_stands_nowhere_in_the_database(world: World) -> None:
    await put(world, "TOKEN")
    async with running(world):
        await world.finished(await world.submit("true", secrets=TOKEN))
    for column in ("sealed", "name"):
        rows = await world.db.read(rows_of, column)
        assert rows
        assert not [row for row in rows if VALUE in row]
    if world.db.dialect == "sqlite":
        contents = [path.read_bytes() for path in world.directory.rglob("*") if path.is_file()]
        assert contents
        assert not [content for content in contents if VALUE.encode() in content]


def rows_of(uow: UnitOfWork, column: str) -> list[str]:
    return [row[0] for row in uow.all(Statement(text(f"SELECT {column} FROM secrets")))]


async def test_a_missing_secret_is_refused_with_the_remedy(world: World) -> None:
    async with running(world):
        with pytest.raises(Invalid, match=r"no secret 'TOKEN' in local\.joe; set it: dais secret set TOKEN") as caught:
            await world.submit("true", secrets=TOKEN)
        assert caught.value.code == "no-such-secret"
        await put(world, "TOKENS")
        with pytest.raises(Invalid, match="did you mean TOKENS"):
            await world.submit("true", secrets=TOKEN)


async def test_a_secret_that_is_removed_while_a_job_waits_fails_it(world: World) -> None:
    await put(world, "TOKEN")
    async with running(world):
        before = await world.submit("sleep-forever", resources=LARGE)
        await world.state(before, "RUNNING")
        waiting = await world.submit("env", "TOKEN", resources=LARGE, secrets=TOKEN)
        await world.db.write(remove_secret, world.actor, "TOKEN")
        await world.kill(before)
        job = await world.finished(waiting)
        assert (job.state, job.reason) == ("FAILED", "secret-missing")
        assert job.detail is not None
        assert "dais secret set TOKEN --account local.joe" in job.detail
        assert job.runs[-1].started_at is None


async def test_bytes_are_no_variable(world: World) -> None:
    await put(world, "KEY", b"\x00\xff")
    async with running(world):
        job = await world.finished(await world.submit("env", "KEY", secrets=(SecretUse(name="KEY"),)))
        assert (job.state, job.reason) == ("FAILED", "secret-unreadable")
        assert "--secret KEY:/run/secrets/KEY" in (job.detail or "")


async def test_a_value_that_was_moved_to_another_name_is_not_given(world: World) -> None:
    await put(world, "TOKEN")
    await put(world, "OTHER", "harmless")

    def move(uow: UnitOfWork) -> None:
        uow.run(
            Statement(
                text("UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name='TOKEN') WHERE name='OTHER'")
            )
        )

    await world.db.write(move)
    async with running(world):
        job = await world.finished(await world.submit("env", "OTHER", secrets=(SecretUse(name="OTHER"),)))
        assert (job.state, job.reason) == ("FAILED", "secret-unreadable")


async def test_members_set_and_list_and_strangers_see_nothing(world: World) -> None:
    team = await world.db.write(create_account, world.actor, "team")
    member, stranger = await user(world, "mia"), await user(world, "sam")
    await world.db.write(grant_account, world.actor, team.id, member.id)
    await put(world, "TOKEN", actor=member, account="team")
    found = (await world.db.read(list_secrets, member, account="team")).items
    assert [(one.name, one.account, one.size, one.set_by) for one in found] == [
        ("TOKEN", "local.team", len(VALUE), "mia")
    ]
    assert VALUE not in repr(found)
    assert (await world.db.read(list_secrets, stranger)).items == []
    for verb, arguments in [(get_secret, ("TOKEN",)), (remove_secret, ("TOKEN",))]:
        with pytest.raises((NotFound, Forbidden)):
            await world.db.write(verb, stranger, *arguments, account="team")
    with pytest.raises((NotFound, Forbidden)):
        await put(world, "TOKEN", actor=stranger, account="team")
    await world.db.write(remove_secret, member, "TOKEN", account="team")
    assert (await world.db.read(list_secrets, member)).items == []


async def test_what_is_no_secret_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MY-TOKEN", "DAIS_TOKEN", "eai_x", "", "A" * 256):
        with pytest.raises(Invalid, match="cannot name a secret"):
            await put(world, name)
    for value in (b"", b"x" * (64 * 1024 + 1)):
        with pytest.raises(Invalid, match="from 1 to 65,536"):
            await put(world, "TOKEN", value)
    await put(world, "TOKEN", b"x" * 64 * 1024)
    monkeypatch.setattr("dais.compute.secrets.commands.MAX_PER_ACCOUNT", 1)
    await put(world, "TOKEN")
    with pytest.raises(TooMany):
        await put(world, "SECOND")


async def test_a_new_key_opens_what_the_old_one_sealed(world: World) -> None:
    await put(world, "TOKEN")
    (before,) = await world.db.read(rows_of, "sealed")
    await asyncio.to_thread(world.vault.rotate)
    assert await world.db.write(reseal_secrets, world.actor, world.vault) == 1
    (after,) = await world.db.read(rows_of, "sealed")
    assert before.split(".")[1] != after.split(".")[1]
    keys = Vault(world.directory / "secrets.key")
    assert keys.current == after.split(".")[1]
    async with running(world):
        assert await output(world, await world.submit("env", "TOKEN", secrets=TOKEN)) == f"{VALUE}\n"
    stranger = await user(world, "sam")
    with pytest.raises(Forbidden):
        await world.db.write(reseal_secrets, stranger, world.vault)
