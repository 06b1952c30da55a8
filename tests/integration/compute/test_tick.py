"""One tick, given what an engine tells: twice, late, or what cannot be."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import bindparam, update

from dais.compute.groups.commands import register_group, update_nodes
from dais.compute.jobs import apply as apply_module
from dais.compute.jobs import queries as queries_module
from dais.compute.jobs import records as records_module
from dais.compute.jobs import runs as runs_module
from dais.compute.jobs.runs import run_rows
from dais.compute.jobs.tables import jobs
from dais.compute.loops import tick as tick_module
from dais.compute.loops.tick import SHORT, look, tick
from dais.compute.notify import outbox as outbox_module
from dais.engines.contract import NodeInfo, Phase, Status
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Statement, UnitOfWork
from dais.kit.outbox import after, number_events
from dais.wire.spec import Resources
from tests.support.world import GROUP, World

pytestmark = pytest.mark.anyio

_put_back = Statement(update(jobs).where(jobs.c.id == bindparam("job_id")).values(state="SCHEDULED"))


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    made = World(database, clock, tmp_path)
    database.write_sync(register_group, GROUP, "fake", "host")
    database.write_sync(update_nodes, GROUP, [NodeInfo(name="n1", cpu=4.0, memory=1 << 30)])
    return made


def put_back(uow: UnitOfWork, job_id: str) -> None:
    """As a defect might leave it: of a job that is not yet prepared no end can be told."""
    uow.run(_put_back, job_id=job_id)


async def launched(world: World, **fields: Any) -> tuple[str, str]:
    """A job that was launched: its id and its run's."""
    job_id = await world.submit("print", "hello", **fields)
    outcome = await world.db.write(tick, GROUP, [], [])
    (work,) = outcome.launches
    assert work.job_id == job_id
    return job_id, work.run_id


async def test_a_loss_that_is_told_twice_in_one_tick_counts_once(world: World) -> None:
    job_id, run_id = await launched(world, restartable=True)
    lost = Status(attempt_id=run_id, phase=Phase.LOST, reason="node-lost", ended_at=5)
    await world.db.write(tick, GROUP, [lost, lost], [])
    job = await world.job(job_id)
    assert [run.state for run in job.runs] == ["INTERRUPTED", "PREPARING"]
    await world.db.write(tick, GROUP, [lost], [])
    assert (await world.job(job_id)).run_index == 1


async def test_what_a_lost_run_had_printed_is_shipped_before_it_is_forgotten(world: World) -> None:
    _, run_id = await launched(world)
    lost = Status(attempt_id=run_id, phase=Phase.LOST, reason="node-lost", ended_at=5)
    outcome = await world.db.write(tick, GROUP, [lost], [])
    assert (outcome.ships, outcome.empty) == ([run_id], [])


async def test_what_cannot_be_stops_no_other_job(world: World, caplog: pytest.LogCaptureFixture) -> None:
    first, first_run = await launched(world)
    second, second_run = await launched(world)
    killed = Status(attempt_id=first_run, phase=Phase.ENDED, reason="exit-code", exit_code=1, started_at=3, ended_at=4)
    await world.db.write(put_back, first)
    fine = Status(attempt_id=second_run, phase=Phase.ENDED, reason="exit-code", exit_code=0, started_at=3, ended_at=4)
    await world.db.write(tick, GROUP, [killed, fine], [])
    assert (await world.job(second)).state == "SUCCEEDED"
    job = await world.job(first)
    assert (job.state, job.started_at) == ("SCHEDULED", None), "nothing of it is written"
    assert "cannot happen to a job that is SCHEDULED" in caplog.text


@pytest.mark.parametrize("backfills,took,launched_then", [(True, 10, 3), (False, 10, 1), (True, SHORT, 1)])
async def test_after_short_runs_work_is_handed_over_ahead_of_free_slots(
    world: World, backfills: bool, took: int, launched_then: int
) -> None:
    whole = Resources(cpu=4, mem=1 << 20)
    for _ in range(5):
        await world.submit("x", resources=whole)
    outcome = await world.db.write(tick, GROUP, [], [], backfills=backfills)
    (first,) = outcome.launches
    ended = Status(attempt_id=first.run_id, phase=Phase.ENDED, reason="exit-code", exit_code=0, started_at=3,
                   ended_at=3 + took)  # fmt: skip
    outcome = await world.db.write(tick, GROUP, [ended], [], backfills=backfills)
    assert len(outcome.launches) == launched_then
    outcome = await world.db.write(tick, GROUP, [], [], backfills=backfills)
    assert outcome.launches == [], "only what short runs gave back is given out ahead, and once only"


async def test_what_passes_within_one_tick_is_remembered_and_told_once(world: World) -> None:
    job_id, run_id = await launched(world)
    ended = Status(attempt_id=run_id, phase=Phase.ENDED, reason="exit-code", exit_code=0, started_at=3, ended_at=4)
    outcome = await world.db.write(tick, GROUP, [ended], [])
    assert (outcome.ships, outcome.empty) == ([], [run_id]), "it has printed nothing"
    job = await world.job(job_id)
    states = ["PENDING", "SCHEDULED", "PREPARING", "RUNNING", "FINISHING", "SUCCEEDED"]
    assert [change.state for change in job.history] == states
    await world.db.write(number_events)
    told = await world.db.read(after, 0, subject=job_id)
    assert [event.data["state"] for event in told] == ["PENDING", "PREPARING", "SUCCEEDED"]


async def test_of_a_run_that_has_ended_it_is_not_written_that_it_runs(world: World) -> None:
    """A start and an end that are told in one tick are one change; where it began, and how isolated, is kept."""
    job_id, run_id = await launched(world)
    begun = Status(attempt_id=run_id, phase=Phase.RUNNING, node="n1", started_at=3, isolation=("pid",))
    ended = msgspec.structs.replace(begun, phase=Phase.ENDED, reason="exit-code", exit_code=0, ended_at=4)
    await world.db.write(tick, GROUP, [begun, ended, begun], [])
    job = await world.job(job_id)
    assert (job.state, job.runs[0].state, job.runs[0].isolation) == ("SUCCEEDED", "SUCCEEDED", ["pid"])
    await world.db.write(number_events)
    told = await world.db.read(after, 0, subject=job_id)
    assert [event.data["state"] for event in told] == ["PENDING", "PREPARING", "SUCCEEDED"]


async def test_a_start_that_says_more_than_the_end_is_kept(world: World) -> None:
    job_id, run_id = await launched(world)
    begun = Status(attempt_id=run_id, phase=Phase.RUNNING, node="n1", started_at=3, isolation=("pid",))
    ended = Status(attempt_id=run_id, phase=Phase.ENDED, node="n1", reason="exit-code", exit_code=0, started_at=3,
                   ended_at=4)  # fmt: skip
    await world.db.write(tick, GROUP, [begun, ended], [])
    job = await world.job(job_id)
    assert (job.state, job.runs[0].isolation) == ("SUCCEEDED", ["pid"])


async def test_the_head_of_the_queue_is_read_in_its_order(world: World) -> None:
    resources = Resources(cpu=4, mem=1 << 20)
    low, high, higher, interactive = [
        await world.submit("x", resources=resources, **fields)
        for fields in ({}, {"bid": 1}, {"bid": 2}, {"type": "interactive"})
    ]
    seen = (await world.db.read(look, GROUP)).snapshot
    assert [waiting.job_id for waiting in seen.queue] == [interactive, higher, high, low]
    assert [(await world.job(job)).place for job in (interactive, higher, high, low)] == [0, 1, 2, 3]


def test_the_queue_is_never_sorted(database: Database) -> None:
    if database.dialect == "sqlite":  # PostgreSQL's plan depends on how many rows there are
        first, *others = database.read_sync(plan_of, tick_module._queue, group=GROUP)
        assert first == "SEARCH jobs USING INDEX ix_jobs_queue (group_name=?)"
        assert all(step.startswith("SEARCH images USING INDEX") for step in others)


def test_rows_that_are_asked_for_by_id_are_found_without_a_walk_through_the_table(database: Database) -> None:
    if database.dialect == "sqlite":
        asked = {
            apply_module._select: "job_ids",
            runs_module._select: "ids",
            records_module._by_ids: "ids",
            outbox_module._jobs: "job_ids",
            queries_module._latest_runs: "ids",
        }
        for statement, name in asked.items():
            steps = database.read_sync(plan_of, statement, **{name: "[]"})
            assert not [step for step in steps if step.startswith("SCAN") and "json_each" not in step], steps


def plan_of(uow: UnitOfWork, statement: Statement, **values: Any) -> list[str]:
    """How SQLite would run a statement."""
    compiled = statement.compiled("sqlite")
    return [row[3] for row in uow._connection.execute(f"EXPLAIN QUERY PLAN {compiled.sql}", compiled.bound(values))]


async def test_two_groups_that_decide_at_once_never_give_a_shared_machine_twice(world: World) -> None:
    groups = ("one", "two")
    for name in groups:
        await world.db.write(register_group, name, "fake", "host")
        await world.db.write(update_nodes, name, [NodeInfo(name="same", cpu=1.0, memory=1 << 30)])
    jobs_of = [await world.submit("x", group=name, resources=Resources(cpu=1, mem=1 << 20)) for name in groups]
    decided, other = threading.Event(), threading.Event()

    def first(uow: UnitOfWork) -> None:
        tick(uow, "one", [], [])
        decided.set()
        other.wait(0.5)  # it must not come to this: the other waits for this one's end

    def second(uow: UnitOfWork) -> None:
        tick(uow, "two", [], [])
        other.set()

    deciding = asyncio.create_task(world.db.write(first))
    await asyncio.to_thread(decided.wait, 20)  # what is written together would be one after the other
    await world.db.write(second)
    await deciding
    assert [(await world.job(job)).state for job in jobs_of] == ["PREPARING", "PENDING"]


async def test_a_tag_that_is_called_as_a_field_delays_nothing(world: World) -> None:
    job_id = await world.submit("true", tags={"source": "paper"}, environment={"source": "x"})
    outcome = await world.db.write(tick, GROUP, [], [])
    (work,) = outcome.launches
    assert (work.job_id, outcome.preparations) == (job_id, [])
    row = (await world.db.read(run_rows, [work.run_id]))[work.run_id]
    assert row.launched_at is not None, "what is launched is written as launched"
