"""Jobs from submission to their end, on both databases, with a scripted machine and the real loops."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from dais.compute import (
    JobChange,
    JobFilter,
    check_spec,
    job_log,
    list_jobs,
    position_from,
    remove_job,
    retry_job,
    set_job,
)
from dais.engines.contract import NodeInfo
from dais.engines.fake import NeverStarts, SlowStop, Unreachable
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Conflict, Invalid, NotFound, TooMany
from dais.wire.spec import JobSpec, Mount, Resources
from tests.support.world import World, running

pytestmark = pytest.mark.anyio

SMALL = Resources(cpu=0.1, mem=1 << 20)
LARGE = Resources(cpu=8, mem=1 << 30)


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


async def read_all(world: World, job_id: str) -> str:
    assert world.compute is not None
    log = await world.db.read(job_log, world.actor, job_id)
    text, position = b"", position_from(None, None)
    while True:
        part = await world.compute.logbook.read(log, position)
        text += b"".join(frame.data for frame in part.frames)
        position = part.position
        if part.eof:
            return text.decode()


async def test_a_job_runs_prints_and_succeeds(world: World) -> None:
    async with running(world):
        job = await world.finished(await world.submit("print", "hello", ";", "error", "careful"))
        assert (job.state, job.reason, job.exit_code) == ("SUCCEEDED", "completed", 0)
        states = [change.state for change in job.history]
        assert states == ["PENDING", "SCHEDULED", "PREPARING", "RUNNING", "FINISHING", "SUCCEEDED"]
        assert await read_all(world, job.id) == "hello\ncareful\n"
        (run,) = job.runs
        assert (run.state, run.node, run.isolation) == ("SUCCEEDED", "fake-1", ["fake"])


@pytest.mark.parametrize(
    "script, state, reason, exit_code",
    [
        (["exit", "3"], "FAILED", "exit-code", 3),
        (["signal", "11"], "FAILED", "signal", None),
        (["oom"], "FAILED", "out-of-memory", None),
        (["no-such-program"], "FAILED", "command-not-found", 127),
    ],
)
async def test_how_a_job_ended_is_told(
    world: World, script: list[str], state: str, reason: str, exit_code: int | None
) -> None:
    async with running(world):
        job = await world.finished(await world.submit(*script))
        assert (job.state, job.reason, job.exit_code) == (state, reason, exit_code)


async def test_time_limit(world: World) -> None:
    async with running(world):
        job_id = await world.submit("sleep-forever", max_run_time=60)
        await world.state(job_id, "RUNNING")
        world.machine.advance(61)
        job = await world.finished(job_id)
        assert (job.state, job.reason) == ("FAILED", "time-limit")


async def test_killed_while_it_waits_runs_or_has_ended(world: World) -> None:
    async with running(world):
        blocker = await world.submit("sleep-forever", resources=LARGE)
        await world.state(blocker, "RUNNING")
        waiting = await world.submit("exit", "0")
        await world.kill(waiting)
        assert (await world.job(waiting)).state == "CANCELLED"
        await world.kill(blocker)
        job = await world.finished(blocker)
        assert (job.state, job.reason, job.detail) == ("CANCELLED", "user-request", "killed by joe")
        await world.kill(blocker)
        assert (await world.job(blocker)).state == "CANCELLED"


async def test_killed_before_it_started(world: World) -> None:
    world.machine.behave(NeverStarts())
    async with running(world):
        job_id = await world.submit("exit", "0")
        await world.state(job_id, "PREPARING")
        await world.kill(job_id)
        assert (await world.finished(job_id)).state == "CANCELLED"


async def test_a_job_that_ignores_term_is_killed_after_the_grace(world: World) -> None:
    world.machine.behave(SlowStop())
    async with running(world):
        job_id = await world.submit("sleep-forever")
        await world.state(job_id, "RUNNING")
        await world.kill(job_id)
        await world.until_true(lambda: _stopping(world), "the stop has reached the machine")
        assert (await world.job(job_id)).cancel_requested
        world.machine.advance(world.settings.stop_grace + 1)
        assert (await world.finished(job_id)).state == "CANCELLED"


async def _stopping(world: World) -> bool:
    return any(world.machine.container(spec.attempt_id)._kill_at is not None for spec in world.machine.launched)  # type: ignore[union-attr]


async def test_jobs_wait_in_order_with_reason_and_place(world: World) -> None:
    async with running(world):
        first = await world.submit("sleep-forever", resources=LARGE)
        await world.state(first, "RUNNING")
        second = await world.submit("exit", "0", resources=LARGE)
        third = await world.submit("exit", "0")

        async def told() -> bool:
            return (await world.job(second)).pending_reason == "needs 8 cpu, 0 of 8 free on fake-1"

        # One that was not looked at yet is said to wait for others, too: so the second is waited for.
        await world.until_true(told, "the second job is told why it waits")
        job = await world.job(second)
        assert (job.state, job.place) == ("PENDING", 0)
        last = await world.job(third)
        assert (last.place, last.pending_reason) == (1, "waits for the jobs before it")
        await world.kill(first)
        assert (await world.finished(third)).state == "SUCCEEDED"
        order = [spec.hostname for spec in world.machine.launched]
        assert order == [first, second, third]


async def test_what_can_never_fit_is_refused_with_the_largest_node(world: World) -> None:
    async with running(world):
        with pytest.raises(
            Invalid, match=r"asks for 64 cpu.*largest node, fake-1, has 8 cpu, 32 GiB and 0 gpu"
        ) as caught:
            await world.submit("exit", "0", resources=Resources(cpu=64, mem=1 << 30))
        assert caught.value.code == "never-fits"
        with pytest.raises(Invalid, match="1 gpu"):
            await world.submit("exit", "0", resources=Resources(gpu=1))


@pytest.mark.parametrize("others, refused", [((), True), ((None,), False), ((7200,), False)])
async def test_what_asks_for_more_time_than_any_node_gives_is_refused(
    world: World, others: tuple[int | None, ...], refused: bool
) -> None:
    limits = enumerate((3600, *others))
    world.machine.nodes = [NodeInfo(name=f"n{n}", cpu=8.0, memory=32 << 30, longest=longest) for n, longest in limits]
    async with running(world):
        await world.submit("exit", "0", max_run_time=3600)
        with pytest.raises(Invalid, match=r"for 1h1s, and none .* than 1h:") if refused else contextlib.nullcontext():
            await world.submit("exit", "0", max_run_time=3601)


async def test_an_idempotency_key_makes_one_job(world: World) -> None:
    async with running(world):
        first = await world.submit("exit", "0", key="k")
        assert await world.submit("exit", "0", key="k") == first
        with pytest.raises(Conflict, match="another spec") as caught:
            await world.submit("exit", "1", key="k")
        assert caught.value.code == "idempotency-key-reused"
        world.clock.advance(25 * 3600)
        assert await world.submit("exit", "1", key="k") != first


async def test_a_name_is_taken_only_while_its_job_lives(world: World) -> None:
    async with running(world):
        first = await world.submit("sleep-forever", name="train")
        with pytest.raises(Conflict, match="is waiting or running"):
            await world.submit("exit", "0", name="train")
        assert (await world.job("train")).id == first
        await world.kill(first)
        await world.finished(first)
        second = await world.submit("sleep-forever", name="train")
        assert (await world.job("train")).id == second
        with pytest.raises(Conflict, match="is waiting or running"):
            await world.db.write(retry_job, world.actor, first, world.settings)


async def test_retry_is_the_next_run_of_the_same_job(world: World) -> None:
    async with running(world):
        job_id = await world.submit("print", "once", ";", "exit", "1")
        await world.finished(job_id)
        await world.db.write(retry_job, world.actor, job_id, world.settings)

        async def twice() -> bool:
            return (await world.job(job_id)).run_index == 1 and not (await world.job(job_id)).alive

        await world.until_true(twice, "the second run has ended")
        job = await world.job(job_id)
        assert [(run.index, run.state) for run in job.runs] == [(0, "FAILED"), (1, "FAILED")]
        assert world.machine.launched[1].env["EAI_RUN_INDEX"] == "1"
        await world.submit("sleep-forever", name="x")
        with pytest.raises(Conflict, match="only a job that has ended"):
            await world.db.write(retry_job, world.actor, "x", world.settings)


async def test_the_log_of_one_run_ends_where_the_next_begins(world: World) -> None:
    async with running(world):
        assert world.compute is not None
        job_id = await world.submit("print", "first", ";", "print", "of two")
        await world.finished(job_id)
        await world.db.write(retry_job, world.actor, job_id, world.settings)

        async def twice() -> bool:
            return (await world.job(job_id)).run_index == 1 and not (await world.job(job_id)).alive

        await world.until_true(twice, "the second run has ended")
        book, log = world.compute.logbook, await world.db.read(job_log, world.actor, job_id)
        frames, after, eof = await book.tail(log, position_from(None, 0), 1)
        assert b"".join(frame.data for frame in frames) == b"of two\n"
        assert (after.run, eof) == (1, False)
        assert [part async for part in book.follow(log, after, run=0)] == []
        told = [part async for part in book.follow(log, position_from(None, 0), run=0)]
        assert b"".join(frame.data for part in told for frame in part.frames) == b"first\nof two\n"


async def test_lost_jobs_fail_and_restartable_ones_go_on(world: World) -> None:
    async with running(world):
        plain = await world.submit("print", "a", ";", "sleep-forever")
        restartable = await world.submit("print", "b", ";", "sleep-forever", restartable=True)
        await world.state(plain, "RUNNING")
        await world.state(restartable, "RUNNING")
        world.machine.crash()
        job = await world.finished(plain)
        assert (job.state, job.reason) == ("FAILED", "node-lost")

        async def again() -> bool:
            found = await world.job(restartable)
            return (found.state, found.run_index) == ("RUNNING", 1)

        await world.until_true(again, "the restartable job runs again")
        runs = (await world.job(restartable)).runs
        assert [(run.state, run.reason) for run in runs] == [("INTERRUPTED", "node-lost"), ("RUNNING", None)]


async def test_nothing_is_lost_when_the_server_restarts(world: World) -> None:
    await world.start()
    jobs = [
        await world.submit("print", f"{n}", ";", "sleep", "10", ";", "print", "end", ";", "exit", f"{n}")
        for n in range(5)
    ]
    for job_id in jobs:
        await world.state(job_id, "RUNNING")
    await world.stop()
    world.machine.advance(11)
    late = await world.submit("exit", "7")
    await world.start()
    for number, job_id in enumerate([*jobs, late]):
        job = await world.finished(job_id)
        assert job.exit_code == (number if number < 5 else 7)
        if number < 5:
            assert await read_all(world, job_id) == f"{number}\nend\n"
    assert len(world.machine.launched) == 6
    await world.stop()


async def test_launches_that_did_not_arrive_are_sent_again(world: World) -> None:
    async def forgotten() -> bool:
        return not world.machine.ended()

    async with running(world):
        await world.finished(await world.submit("exit", "0"))  # from then on its dispatcher is at work
        await world.until_true(
            forgotten, "the first is forgotten"
        )  # else the engine is seen to be away before a launch
        with Unreachable(world.machine):
            job_id = await world.submit("exit", "0")
            await world.state(job_id, "PREPARING")
        assert (await world.finished(job_id)).state == "SUCCEEDED"
        assert len(world.machine.launched) == 2


async def test_listing_pages_filters_and_hides(world: World) -> None:
    async with running(world):
        made = [await world.submit("exit", "0", tags={"n": str(n), "all": ""}) for n in range(5)]
        for job_id in made:
            await world.finished(job_id)

        async def page(cursor: str | None = None, **wanted: Any) -> tuple[list[str], str | None]:
            found = await world.db.read(
                list_jobs,
                world.actor,
                JobFilter(**wanted),
                limit=2,
                cursor=cursor,
            )
            return [job.id for job in found.items], found.cursor

        seen: list[str] = []
        cursor = None
        while True:
            ids, cursor = await page(cursor)
            seen += ids
            if cursor is None:
                break
        assert seen == made[::-1]
        assert (await page(oldest_first=True))[0] == made[:2]
        assert (await page(tag="n=3"))[0] == [made[3]]
        assert (await page(tag="n=9"))[0] == []
        assert (await page(states=("alive",)))[0] == []
        assert len((await page(states=("succeeded",)))[0]) == 2
        with pytest.raises(Invalid, match="'DONE' is not a state"):
            await page(states=("DONE",))
        with pytest.raises(Invalid, match="not one that Dais gave"):
            await page("nonsense")


async def test_set_and_remove(world: World) -> None:
    async with running(world):
        job_id = await world.submit("sleep-forever")
        await world.state(job_id, "RUNNING")
        with pytest.raises(Conflict, match="kill it before"):
            await world.db.write(remove_job, world.actor, job_id)
        with pytest.raises(Conflict, match="bid matters only"):
            await world.db.write(set_job, world.actor, job_id, JobChange(bid=3))
        await world.db.write(set_job, world.actor, job_id, JobChange(name="better", tags={"a": "b"}))
        job = await world.job("better")
        assert (job.id, job.tags, job.spec.name) == (job_id, {"a": "b"}, "better")
        await world.kill(job_id)
        await world.finished(job_id)
        await world.db.write(remove_job, world.actor, job_id)
        with pytest.raises(NotFound, match="no job"):
            await world.job(job_id)


async def test_too_many_jobs_are_refused(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    world = World(database, clock, tmp_path, max_active_jobs=2)
    async with running(world):
        await world.submit("sleep-forever")
        last = await world.submit("sleep-forever")
        with pytest.raises(TooMany, match="you have 2 jobs"):
            await world.submit("exit", "0")
        await world.kill(last)
        await world.finished(last)
        await world.submit("exit", "0")


async def test_a_limit_that_is_not_counted_at_every_submit_is_met_exactly(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    world = World(database, clock, tmp_path, max_active_jobs=40)
    async with running(world):
        jobs = [await world.submit("sleep-forever") for _ in range(40)]
        with pytest.raises(TooMany, match="you have 40 jobs"):
            await world.submit("exit", "0")
        await world.kill(jobs[-1])
        await world.finished(jobs[-1])
        await world.submit("sleep-forever")
        with pytest.raises(TooMany):
            await world.submit("exit", "0")


async def test_a_dry_run_checks_and_changes_nothing(world: World) -> None:
    async with running(world):
        checked = await world.db.read(check_spec, world.actor, JobSpec(command=("x",), resources=SMALL), world.settings)
        assert (checked.account.full_name, checked.group.name) == ("local.joe", "default")
        with pytest.raises(NotFound, match="no folder 'absent'"):
            await world.submit("x", data=(Mount(name="absent", target="/data"),))
        with pytest.raises(Invalid, match="no resource group 'gpu'"):
            await world.submit("x", group="gpu")
        with pytest.raises(Invalid, match="image 'ubuntu'"):
            await world.submit("x", image="ubuntu")
        found = await world.db.read(list_jobs, world.actor, JobFilter())
        assert found.items == []


async def test_jobs_get_their_environment(world: World) -> None:
    async with running(world):
        job_id = await world.submit("env", "DAIS_JOB_ID", ";", "env", "MODE", environment={"MODE": "fast"})
        await world.finished(job_id)
        assert await read_all(world, job_id) == f"{job_id}\nfast\n"
        env = world.machine.launched[0].env
        assert env["EAI_JOB_ID"] == job_id
        assert (env["DAIS_ACCOUNT"], env["DAIS_USER"], env["EAI_CPU_LIMIT"]) == ("local.joe", "joe", "0.1")
