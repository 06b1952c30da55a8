"""Templates on both databases: profiled by a machine whose runs take what a law says, predicted, run, cancelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dais.compute import (
    JobFilter,
    Profiler,
    ProvisioningSettings,
    cancel_template,
    get_template,
    list_jobs,
    list_templates,
    predict,
    register_template,
    remove_job,
    remove_template,
    submit_provisioned,
)
from dais.compute.provisioning.profiling import LOW_BID, submit_run
from dais.identity import Actor, authenticate, create_policy, create_token, create_user, disable_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Conflict, Forbidden, Invalid, NotFound
from dais.wire.spec import JobSpec
from dais.wire.templates import NewTemplate, ProvisionedJob, TemplateDetail, Wish
from tests.support.world import World, running

pytestmark = pytest.mark.anyio

PRICES = ProvisioningSettings()
MIB = 1 << 20


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


def new(*command: str, name: str = "t", **fields: Any) -> NewTemplate:
    fields = {"cpu": (0.1, 0.2), "mem": (4 * MIB,), **fields}
    return NewTemplate(name=name, spec=JobSpec(command=command or ("sleep", "{1,2,4}")), **fields)


async def register(world: World, template: NewTemplate, actor: Actor | None = None) -> TemplateDetail:
    made: TemplateDetail = await world.db.write(
        register_template, actor or world.actor, template, world.settings, PRICES
    )
    return made


async def told(world: World, ref: str = "t") -> TemplateDetail:
    found: TemplateDetail = await world.db.read(get_template, world.actor, PRICES, ref)
    return found


async def profiled(world: World, ref: str = "t") -> TemplateDetail:
    """Let time pass until the profiling has ended."""
    profiler = Profiler(world.db, world.settings, PRICES)

    async def ended() -> bool:
        await profiler.step()
        world.machine.advance(1)
        return (await told(world, ref)).ended_at is not None

    await world.until_true(ended, "the template is profiled")
    return await told(world, ref)


async def test_a_template_is_profiled_predicted_and_run(world: World) -> None:
    async with running(world):
        made = await register(world, new())
        assert (made.number, made.state, made.runs, made.ended) == (1, "submitted", 6, 0)
        assert [(option.name, option.values) for option in made.options] == [("sleep", ["1", "2", "4"])] or made.options
        name = made.options[0].name
        ready = await profiled(world)
        assert (ready.state, ready.ended, ready.failed, ready.detail) == ("ready", 6, 0, None)
        assert all(run.seconds is not None and run.seconds > 0 for run in ready.profiling)
        assert ready.model is not None
        assert ready.spent == pytest.approx(sum(run.cost or 0 for run in ready.profiling))
        found = await world.db.read(predict, world.actor, PRICES, "1", Wish(parameters={name: "3"}, optimize="cost"))
        assert found.chosen.cpu == 0.1
        assert found.chosen.cost < max(one.cost for one in found.allocations)
        wish = ProvisionedJob(parameters={name: "8"}, name="big")
        sent = await world.db.write(submit_provisioned, world.actor, world.settings, PRICES, "t", wish)
        assert f"{name} lies outside" in sent.prediction.warnings[-1]

        async def over() -> bool:
            world.machine.advance(1)
            return not (await world.job(sent.job_id)).alive

        await world.until_true(over, "the job has ended")
        (job,) = (await told(world)).submitted
        assert (job.job_id, job.state, job.parameters, job.seconds) == (
            sent.job_id,
            "SUCCEEDED",
            {name: "8"},
            sent.prediction.chosen.seconds,
        )
        assert job.actual_seconds is not None
        assert job.actual_seconds >= 8
        assert job.actual_cost == pytest.approx(PRICES.price("default").of(job.cpu, job.mem, 0, job.actual_seconds))
        await world.db.write(remove_job, world.actor, sent.job_id)
        assert (await told(world)).submitted == []


async def test_profiling_runs_are_ordinary_jobs_few_at_a_time(world: World) -> None:
    async with running(world):
        await register(world, new("sleep-forever", ";", "echo", "{1,2,3}", parallel=2, max_run_time=60))
        profiler = Profiler(world.db, world.settings, PRICES)
        for _ in range(3):
            await profiler.step()
        jobs = (await world.db.read(list_jobs, world.actor, JobFilter(tag="dais.template=t"))).items
        assert len(jobs) == 2
        spec = (await world.job(jobs[0].id)).spec
        assert (spec.bid, spec.max_run_time, spec.notify, spec.output) == (LOW_BID, 60, ("none",), None)
        assert (await told(world)).state == "profiling"
        await world.db.write(submit_run, (await told(world)).id, 0, world.settings)  # again: it is there already
        assert len((await world.db.read(list_jobs, world.actor, JobFilter())).items) == 2
        await world.db.write(cancel_template, world.actor, "t")
        for job in jobs:
            assert (await world.finished(job.id)).state == "CANCELLED"
        ended = await told(world)
        assert (ended.state, ended.detail, {run.state for run in ended.profiling}) == (
            "failed",
            "cancelled by joe",
            {"skipped"},
        )
        with pytest.raises(Conflict, match="failed: cancelled by joe"):
            await world.db.read(predict, world.actor, PRICES, "t", Wish())
        await world.db.write(remove_template, world.actor, "t")
        with pytest.raises(NotFound, match="there is no template 't'"):
            await told(world)


async def test_out_of_memory_is_known_and_failures_are_told(world: World) -> None:
    async with running(world):
        await register(world, new("{true,false}", cpu=(0.1, 0.2, 0.3)))
        ready = await profiled(world)
        assert (ready.state, ready.failed) == ("ready", 3)
        assert {run.reason for run in ready.profiling if run.state == "failed"} == {"exit-code"}
        await register(world, new("oom", name="hungry"))
        failed = await profiled(world, "hungry")
        assert failed.detail is not None
        assert failed.detail.startswith("0 of 2 profiling runs succeeded, and a model needs 3 (2: out-of-memory)")


async def test_the_budget_ends_profiling(world: World) -> None:
    async with running(world):
        await register(world, new("sleep", "{1,2,3,4,5,6}", parallel=1, budget=1e-9))
        ended = await profiled(world)
        assert [run.state for run in ended.profiling].count("skipped") == 11
        assert {run.reason for run in ended.profiling if run.state == "skipped"} == {"budget"}


async def test_who_is_let_in_no_more_profiles_no_more(world: World) -> None:
    user = world.db.write_sync(create_user, world.actor, "ann")
    token = world.db.write_sync(create_token, world.actor, user_id=user.id)
    ann = world.db.read_sync(authenticate, token.secret).actor
    async with running(world):
        made = await register(world, new(), ann)
        world.db.write_sync(disable_user, world.actor, user.id)
        ended = await profiled(world, str(made.number))
        assert (ended.state, {run.reason for run in ended.profiling}) == ("failed", {"the user ann is disabled"})


async def test_others_see_nothing_of_it(world: World) -> None:
    user = world.db.write_sync(create_user, world.actor, "eve")
    token = world.db.write_sync(create_token, world.actor, user_id=user.id)
    eve = world.db.read_sync(authenticate, token.secret).actor
    async with running(world):
        made = await register(world, new())
        assert [one.name for one in world.db.read_sync(list_templates, world.actor, PRICES).items] == ["t"]
        assert world.db.read_sync(list_templates, eve, PRICES).items == []
        for ref in ("1", made.id):
            with pytest.raises((NotFound, Forbidden)):
                world.db.read_sync(get_template, eve, PRICES, ref)
            with pytest.raises((NotFound, Forbidden)):
                world.db.write_sync(cancel_template, eve, ref)
        world.db.write_sync(
            create_policy, world.actor, "user", user.id, [f"job:get@{world.actor.organization_id}:account:*"]
        )
        assert world.db.read_sync(get_template, eve, PRICES, "1").name == "t"
        with pytest.raises(Forbidden):
            world.db.write_sync(remove_template, eve, "1")
        with pytest.raises(Forbidden):
            world.db.write_sync(
                submit_provisioned, eve, world.settings, PRICES, "1", ProvisionedJob(parameters={"option1": "1"})
            )


@pytest.mark.parametrize(
    "fields, problem",
    [
        ({"max_runs": 2}, "max_runs is 2"),
        ({"parallel": 0}, "parallel is 0"),
        ({"budget": 0.0}, "budget is 0"),
        ({"cpu": (0.0,)}, "cpu is 0"),
        ({"mem": (1,)}, "mem is 1"),
        ({"name": "7"}, "is a number"),
        ({"name": "A b"}, "name"),
        ({"cpu": (4_000.0,)}, "4000"),
    ],
)
async def test_what_can_never_be_profiled_is_refused(world: World, fields: dict[str, Any], problem: str) -> None:
    async with running(world):
        with pytest.raises(Invalid, match=problem):
            await register(world, new(**fields))


async def test_a_name_is_taken_once(world: World) -> None:
    async with running(world):
        await register(world, new())
        with pytest.raises(Conflict, match="has a template 't' already"):
            await register(world, new())
        assert [one.number for one in world.db.read_sync(list_templates, world.actor, PRICES, limit=1).items] == [1]
