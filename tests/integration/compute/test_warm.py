"""Warm sandboxes as rows: how many, for whom, and that none is ever given to two, nor kept while a job waits."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import bindparam, column, func, select, table

from dais.compute import JobFilter, get_job, list_jobs, open_session
from dais.compute.code.pool import Pool, fill
from dais.compute.code.sessions import session_spec
from dais.compute.code.warm import OLDEST, WARM_TAG, Refilled, adopt, give_back, living, mark_ready, refill
from dais.compute.groups.commands import register_group, update_nodes
from dais.compute.groups.held import held_slots
from dais.compute.interactive.home import set_dotfile
from dais.compute.jobs.commands import JobChange, retry_job, set_job
from dais.compute.jobs.exposing import expose_job
from dais.compute.jobs.running import running_work
from dais.compute.jobs.tables import job_tags
from dais.compute.loops.tick import tick
from dais.engines.contract import HostTools, NodeInfo, Phase, Status
from dais.identity import Actor, list_audit
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Statement, UnitOfWork
from dais.kit.errors import Conflict
from dais.wire.answers import JobDetail
from dais.wire.code import NewCodeSession
from dais.wire.spec import Resources
from tests.support.supervisor import until
from tests.support.world import GROUP, World

pytestmark = pytest.mark.anyio

GIB = 1 << 30

_waits_for_a_row = Statement(
    select(func.count())
    .select_from(table("pg_stat_activity", column("wait_event_type")))
    .where(column("wait_event_type") == "Lock")
)
_tagged = Statement(select(func.count()).select_from(job_tags).where(job_tags.c.key == bindparam("key")))


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    made = World(database, clock, tmp_path, interactive_per_user=0)
    database.write_sync(register_group, GROUP, "fake", "host")
    database.write_sync(update_nodes, GROUP, [NodeInfo(name="n1", cpu=8.0, memory=8 * GIB)])
    return made


async def turn(world: World) -> list[str]:
    """A tick after which what was launched runs; the runs that are to be stopped."""
    outcome = await world.db.write(tick, GROUP, [], [])
    started = [
        Status(attempt_id=work.run_id, phase=Phase.RUNNING, started_at=world.db.clock.now())
        for work in outcome.launches
    ]
    if started:
        outcome.stops += (await world.db.write(tick, GROUP, started, [])).stops
    return sorted({work.run_id for work in outcome.stops})


async def opened(world: World, actor: Actor | None = None, **fields: Any) -> tuple[str, bool]:
    wanted = NewCodeSession(new=True, **fields)
    made, warm = await world.db.write(open_session, actor or world.actor, world.settings, wanted)
    return made.id, warm


async def filled(world: World) -> Refilled:
    found: Refilled = await world.db.write(refill, world.settings, "host")
    return found


async def warmed(world: World, count: int) -> list[str]:
    """So many that are ready, after as many sessions were opened."""
    for _ in range(count):
        await opened(world)
    await turn(world)
    await filled(world)
    await turn(world)
    cold = (await filled(world)).cold
    assert len(cold) == count
    for job_id in cold:
        await world.db.write(mark_ready, job_id)
    return cold


async def test_there_are_as_many_as_were_opened_at_once_lately(world: World) -> None:
    assert await filled(world) == Refilled(), "nobody has opened any"
    for _ in range(2):
        await opened(world)
    await turn(world)
    world.clock.advance(100)
    await opened(world)
    await turn(world)
    await filled(world)
    await turn(world)
    assert len((await filled(world)).cold) == 2
    assert len(await world.db.read(living)) == 2
    world.clock.advance(1801)
    await filled(world)
    stopped = await turn(world)
    assert len(stopped) == 2, "nobody has opened any for half an hour"


async def test_at_most_as_many_as_is_set(world: World) -> None:
    world.settings = type(world.settings)(code_pool=1, interactive_per_user=0)
    await opened(world)
    await opened(world)
    await turn(world)
    for _ in range(3):
        await filled(world)
    assert len(await world.db.read(living)) == 1


async def test_none_is_begun_while_a_job_waits_and_one_alone_takes_the_last_place(world: World) -> None:
    for _ in range(2):
        await opened(world)
    await filled(world)
    assert await world.db.read(living) == [], "the sessions themselves wait"
    await turn(world)
    other = await world.submit("sleep-forever", resources=Resources(cpu=5, mem=GIB))
    await turn(world)
    for _ in range(2):
        await filled(world)
        await turn(world)
    assert len(await world.db.read(living)) == 1, "there is one core left, of two sandboxes that are wanted"
    job = await world.submit("sleep-forever", resources=Resources(cpu=1, mem=GIB))
    await turn(world)
    assert len(await turn(world)) == 1, "it is ended for a job"
    for one in (other, job):
        await world.kill(one)


async def test_the_installations_own_are_listed_where_they_are_asked_for_and_are_nobodys(world: World) -> None:
    (ready,) = await warmed(world, 1)
    listed = await world.db.read(list_jobs, world.actor, JobFilter())
    assert ready not in {job.id for job in listed.items}
    (own,) = (await world.db.read(list_jobs, world.actor, JobFilter(type="system"))).items
    assert (own.id, own.owner) == (ready, "(installation)")
    assert (await world.job(ready)).owner == "(installation)"
    assert (await world.db.read(get_job, world.actor, "last")).id != ready
    entries = (await world.db.read(list_audit, world.actor, action="job:new")).items
    assert {(entry.user, entry.user_id) for entry in entries} == {
        ("(installation)", None),
        ("local.joe", world.actor.id),
    }
    await opened(world)
    assert (await world.job(ready)).owner == world.actor.name


async def test_a_session_takes_one_over_with_all_that_a_submit_would_have_written(world: World) -> None:
    (ready,) = await warmed(world, 1)
    before = await world.job(ready)
    assert (before.type, before.state) == ("system", "RUNNING")
    world.clock.advance(50)
    made, warm = await world.db.write(open_session, world.actor, world.settings, NewCodeSession(new=True))
    assert (made.id, warm) == (ready, True)
    job = await world.job(ready)
    assert (job.type, job.state, job.tags) == ("interactive", "RUNNING", {"dais-code": ""})
    assert job.created_at > before.created_at
    assert job.runs[-1].started_at == job.started_at == job.created_at, "what came before is not the user's"
    assert await world.db.read(_warm_tags) == 0
    again, _ = await opened(world)
    assert again != ready, "it is never given to another"
    assert await world.db.read(living) == []


async def test_two_who_come_at_once_never_get_the_same(world: World) -> None:
    await warmed(world, 2)
    got = await asyncio.gather(*(opened(world) for _ in range(6)))
    assert len({job for job, _ in got}) == 6
    assert sum(warm for _, warm in got) == 2


async def test_who_waits_for_another_who_takes_one_does_not_get_it_too(world: World) -> None:
    """Where transactions run beside each other: the second has seen it free, and waits for its row."""
    if world.db.dialect == "sqlite":
        pytest.skip("it has one writer")
    (ready,) = await warmed(world, 1)
    spec = session_spec(NewCodeSession(), None)
    taken = threading.Event()

    def first(uow: UnitOfWork) -> JobDetail | None:
        got = adopt(uow, world.actor, world.settings, spec)
        taken.set()
        until(lambda: uow.scalar(_waits_for_a_row) > 0, "the second waits")
        return got

    one = asyncio.create_task(world.db.write(first))
    await asyncio.to_thread(taken.wait)
    two = asyncio.create_task(world.db.write(adopt, world.actor, world.settings, spec))
    got = await one
    assert got is not None
    assert got.id == ready
    assert await two is None


@pytest.mark.parametrize(
    "fields", [{"cpu": 2.0}, {"mem": 2 * GIB}, {"environment": {"A": "b"}}, {"network": "host"}, {"group": GROUP}]
)
async def test_who_wants_something_else_gets_a_job_of_their_own(world: World, fields: dict[str, Any]) -> None:
    await warmed(world, 1)
    assert (await opened(world, **fields))[1] is False
    assert (await opened(world))[1] is True


async def test_who_has_dotfiles_gets_a_job_with_them(world: World) -> None:
    await warmed(world, 1)
    await world.db.write(set_dotfile, world.actor, world.vault, ".bashrc", b"x")
    assert (await opened(world))[1] is False


async def test_what_a_submit_would_refuse_is_refused(world: World) -> None:
    await warmed(world, 1)
    one = type(world.settings)(interactive_per_user=1)
    with pytest.raises(Conflict, match="or run the code in it: `dais code run --job"):
        await world.db.write(open_session, world.actor, one, NewCodeSession(new=True))
    (row,) = await world.db.read(living)
    assert row.cancel_requested_at is None, "it is still there"


async def test_one_that_ends_or_has_no_python_yet_is_not_given(world: World) -> None:
    (ready,) = await warmed(world, 1)
    assert await world.db.write(give_back, ready, "why not") is True
    spec = session_spec(NewCodeSession(), None)
    assert await world.db.write(adopt, world.actor, world.settings, spec) is None
    assert len(await turn(world)) == 1, "it is stopped"
    await opened(world)
    await turn(world)
    await filled(world)
    await turn(world)
    assert len((await filled(world)).cold) == 2
    assert await world.db.write(adopt, world.actor, world.settings, spec) is None, "no Python is there"


async def test_nobody_is_let_into_one_that_waits_or_may_change_it(world: World) -> None:
    """Not its account's members either: what they would leave in it, another user would find."""
    (ready,) = await warmed(world, 1)
    attacks: list[tuple[Any, ...]] = [
        (running_work, world.actor, ready, "job:exec"),
        (running_work, world.actor, ready, "job:get"),
        (set_job, world.actor, ready, JobChange(tags={})),
        (partial(expose_job, public=True), world.actor, ready, 8080),
        (retry_job, world.actor, ready, world.settings),
    ]
    for attack in attacks:
        with pytest.raises(Conflict, match="waits for whoever opens a session"):
            await world.db.write(*attack)
    assert (await opened(world)) == (ready, True)
    assert (await world.db.read(running_work, world.actor, ready, "job:exec")).job_id == ready


async def test_what_was_taken_is_not_given_back(world: World) -> None:
    """As it could be by a job that waits, at the same moment."""
    (ready,) = await warmed(world, 1)
    assert (await opened(world)) == (ready, True)
    assert await world.db.write(give_back, ready, "a job needs its place") is False
    assert (await world.job(ready)).cancel_requested is False


async def test_they_make_room_for_a_job_at_once_and_the_sums_are_right(world: World) -> None:
    await warmed(world, 2)  # and two sessions
    held = (await world.db.read(held_slots))["n1"]
    assert (held.cpu_millis, held.mem) == (4000, 4 * GIB)
    job = await world.submit("sleep-forever", resources=Resources(cpu=5, mem=GIB))
    assert await turn(world) == []
    stopped = await turn(world)
    assert len(stopped) == 2
    ended = [
        Status(attempt_id=run, phase=Phase.ENDED, reason="stopped", ended_at=world.db.clock.now(), log_bytes=0)
        for run in stopped
    ]
    await world.db.write(tick, GROUP, ended, [])
    assert (await world.job(job)).state != "PENDING"
    assert (await world.db.read(held_slots))["n1"].cpu_millis == 7000
    await filled(world)
    assert len(await world.db.read(living)) == 1, "there is one core left"
    assert await world.db.read(_warm_tags) == 1, "those that have ended are forgotten"


def _warm_tags(uow: UnitOfWork) -> int:
    count = uow.scalar(_tagged, key=WARM_TAG)
    assert isinstance(count, int)
    return count


@pytest.mark.parametrize("isolation, works", [("sandbox", True), ("process", False), ("container", False)])
async def test_there_are_none_where_jobs_are_not_kept_from_each_other(
    world: World, isolation: str, works: bool
) -> None:
    host = HostTools(isolation=isolation, interpreter="/usr/bin/python3")
    compute = SimpleNamespace(groups={GROUP: SimpleNamespace(host=host)})
    pool = Pool(compute, world.db)  # type: ignore[arg-type]
    assert pool.works is works
    await warmed(world, 1)
    await world.db.write(fill, world.settings, pool.works)
    assert len(await turn(world)) == (0 if works else 1)


async def test_an_old_one_is_replaced(world: World) -> None:
    await warmed(world, 1)
    assert len((await filled(world)).ready) == 1
    for _ in range(4):  # sessions go on being opened
        world.clock.advance(OLDEST / 4_000_000)
        await opened(world, cpu=0.1)
    assert (await filled(world)).ready == []
    assert len(await turn(world)) == 1


async def test_one_of_another_default_image_is_given_back(world: World) -> None:
    await warmed(world, 1)
    assert (await world.db.write(refill, world.settings, "other")).ready == []
    assert len(await turn(world)) == 1
