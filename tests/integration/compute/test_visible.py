"""Who sees which jobs: single grants, narrowed tokens, and what a page out of a hundred thousand costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from dais.compute import JobFilter, get_job, job_log, kill_job, list_jobs, retry_job, running_work, set_secret
from dais.compute.groups.commands import register_group
from dais.compute.jobs.queries import _list_statement
from dais.identity import (
    Actor,
    authenticate,
    create_policy,
    create_token,
    create_user,
    visible,
)
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Statement, UnitOfWork
from dais.kit.errors import Conflict, Forbidden, Invalid, NotFound
from dais.wire.spec import SecretUse
from tests.support.world import World

JOBS = 100_000


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


def member(world: World, name: str, *statements: str, narrowed: tuple[str, ...] | None = None) -> Actor:
    """A user with a policy of their own."""
    user = world.db.write_sync(create_user, world.actor, name)
    if statements:
        world.db.write_sync(create_policy, world.actor, "user", user.id, list(statements))
    token = world.db.write_sync(create_token, world.actor, user_id=user.id, narrowed=narrowed)
    found: Actor = world.db.read_sync(authenticate, token.secret).actor
    return found


def urn_of(world: World, job_id: str) -> str:
    return f"{world.actor.organization_id}:account:{world.actor.account_id}:job:{job_id}"


def listed(world: World, actor: Actor, **wanted: Any) -> list[str]:
    return [job.id for job in world.db.read_sync(list_jobs, actor, JobFilter(**wanted)).items]


@pytest.mark.anyio
async def test_a_grant_on_one_job_is_one_job(world: World) -> None:
    await world.start()
    mine, other = await world.submit("sleep"), await world.submit("sleep")
    number = (await world.job(mine)).number
    eve = member(world, "eve", f"job:get@{urn_of(world, mine)}")
    assert listed(world, eve) == [mine]
    for ref in (mine, mine[-8:], str(number)):
        assert world.db.read_sync(get_job, eve, ref).id == mine
    with pytest.raises(NotFound, match="no job"):
        world.db.read_sync(get_job, eve, other)
    for act in ("job:logs", "job:exec"):
        with pytest.raises(Forbidden) as refused:
            world.db.read_sync(running_work, eve, mine, act)
        assert (refused.value.fields["action"], refused.value.fields["urn"]) == (act, urn_of(world, mine))
        with pytest.raises(NotFound):
            world.db.read_sync(running_work, eve, other, act)
    with pytest.raises(Forbidden):
        world.db.write_sync(kill_job, eve, mine)
    await world.stop()


@pytest.mark.anyio
async def test_logs_and_exec_are_granted_apart(world: World) -> None:
    await world.start()
    job = await world.submit("sleep")
    reader = member(world, "reader", f"job:logs@{urn_of(world, job)}")
    assert world.db.read_sync(job_log, reader, job).job_id == job
    for verb, arguments in ((get_job, (job,)), (running_work, (job, "job:exec"))):
        with pytest.raises(NotFound):
            world.db.read_sync(verb, reader, *arguments)
    assert listed(world, reader) == []
    hand = member(world, "hand", f"job:exec@{urn_of(world, job)}")
    with pytest.raises((Conflict, NotFound)) as refused:
        world.db.read_sync(running_work, hand, job, "job:exec")
    assert refused.value.code == "not-running", "allowed, and only too early"
    with pytest.raises(NotFound):
        world.db.read_sync(job_log, hand, job)
    await world.stop()


@pytest.mark.anyio
async def test_a_narrowed_token_sees_no_more_than_it_says(world: World) -> None:
    await world.start()
    mine, other = await world.submit("sleep"), await world.submit("sleep")
    organization = world.actor.organization_id
    all_jobs = f"*@{organization}:account:{world.actor.account_id}:*"
    eve = member(world, "eve", all_jobs, narrowed=(f"job:get@{urn_of(world, mine)}",))
    assert listed(world, eve) == [mine]
    with pytest.raises(NotFound):
        world.db.read_sync(get_job, eve, other)
    with pytest.raises(Forbidden, match="job:kill"):
        world.db.write_sync(kill_job, eve, mine)
    blind = member(world, "blind", all_jobs, narrowed=(f"data:*@{organization}:*",))
    with pytest.raises(Forbidden, match="job:list"):
        listed(world, blind)
    await world.stop()


@pytest.mark.anyio
async def test_who_runs_a_job_again_must_be_allowed_what_it_uses(world: World) -> None:
    world.db.write_sync(register_group, "default", "fake", "host")
    world.db.write_sync(set_secret, world.actor, world.vault, "KEY", b"v")
    job = await world.submit("sleep", secrets=(SecretUse(name="KEY"),))
    world.db.write_sync(kill_job, world.actor, job)
    eve = member(world, "eve", f"job:get+job:new@{urn_of(world, job)}")
    with pytest.raises(Invalid, match="no secret 'KEY'"):
        world.db.write_sync(retry_job, eve, job, world.settings)
    secrets = f"secret:get@{world.actor.organization_id}:account:{world.actor.account_id}:secret:*"
    bob = member(world, "bob", f"job:get+job:new@{urn_of(world, job)}", secrets)
    assert world.db.write_sync(retry_job, bob, job, world.settings) == job


class Counting(UnitOfWork):
    """Keeps the statements that it ran."""

    def _execute(self, compiled: Any, values: dict[str, Any]) -> Any:
        asked.append(compiled.sql)
        return super()._execute(compiled, values)


asked: list[str] = []

_fill = Statement(
    text(
        "INSERT INTO jobs (number, id, short_id, account_id, owner_id, group_name, type, state, spec, warnings, mounts,"
        " image, cpu_millis, mem, gpu, class_rank, bid, queued_at, restartable, run_index, created_at, ended_at) "
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :jobs) "
        "SELECT i, :prefix || (100000000000 + i), '00000000', CASE WHEN i % 5000 = 7 THEN :few ELSE :many END, :owner, "
        "'default', 'batch', 'SUCCEEDED', :spec, '[]', '[]', 'host', 1, 1, 0, 1, 0, 1, 0, 0, 1, 1 FROM n"
    )
)
_analyze = Statement(text("ANALYZE"))


def test_a_page_out_of_many_is_one_query_by_an_index(world: World, clock: ManualClock) -> None:
    large, small = member(world, "large"), member(world, "small")
    prefix = "01970000-0000-7000-8000-"
    values = {"prefix": prefix, "few": small.account_id, "many": large.account_id, "owner": world.actor.id}
    world.db.write_sync(lambda uow: uow.run(_fill, jobs=JOBS, spec='{"command":["true"]}', **values))
    if world.db.dialect == "postgresql":  # as its own housekeeping does
        world.db.write_sync(lambda uow: uow.run(_analyze))
    organization = world.actor.organization_id
    one = f"{organization}:account:{large.account_id}:job:{prefix}{100000000000 + 70_000}"
    for who, expected in (
        (world.actor, 50),
        (member(world, "chief", f"job:get@{organization}:*"), 50),
        (large, 50),
        (small, JOBS // 5000),
        (member(world, "eve", f"job:get@{one}"), 1),
    ):
        assert world.db.read_sync(count, who, clock) == expected, who.name
        assert len([sql for sql in asked if "FROM jobs" in sql and "LIMIT" in sql]) == 1, who.name
        plan = world.db.read_sync(explain, who)
        assert not [line for line in plan if "Seq Scan on jobs" in line], plan
        if expected < 50:
            assert "SCAN jobs" not in plan, plan


def count(uow: UnitOfWork, who: Actor, clock: ManualClock) -> int:
    """The jobs of a page; what was asked for it is in `asked`."""
    asked.clear()
    counting = Counting(uow._connection, uow.dialect, clock)
    return len(list_jobs(counting, who, JobFilter(), limit=50).items)


def explain(uow: UnitOfWork, who: Actor) -> list[str]:
    """How the database finds the page."""
    seen = visible(uow, who, "job:list")
    compiled = _list_statement(frozenset([*seen.values, "limit"])).compiled(uow.dialect)
    values = {
        name: msgspec.json.encode(value).decode() if isinstance(value, list) else value
        for name, value in seen.values.items()
    }
    word = "EXPLAIN QUERY PLAN" if uow.dialect == "sqlite" else "EXPLAIN"
    found = uow._connection.execute(f"{word} {compiled.sql}", compiled.bound({**values, "limit": 51}))
    return [str(row[-1]) for row in found.fetchall()]
