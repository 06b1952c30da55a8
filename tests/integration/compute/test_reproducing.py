"""Running jobs again as they were, on both databases: what is taken, who may, how it compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dais.compute import get_reproduction, kill_job, remove_job, reproduce_job, set_job
from dais.compute.jobs.commands import JobChange
from dais.compute.reports.commands import take_reports
from dais.compute.reproducing.tables import reproductions
from dais.data import commit_files, create_file_set, get_file_set, remove_file_set
from dais.identity import Actor, authenticate, create_policy, create_token, create_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Conflict, DaisError, Forbidden, Invalid, NotFound
from dais.provenance import FILESET, get_meta
from dais.wire.answers import JobDetail
from dais.wire.lake import NewVersion
from dais.wire.reports import Report
from dais.wire.reproduction import Reproduction
from dais.wire.spec import Input, Output
from tests.support.tables import rows
from tests.support.world import World, running

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path)


async def put(world: World, files: dict[str, bytes], fileset: str) -> None:
    new = [NewVersion(path=path, digest=world.blobs.put(content), size=len(content)) for path, content in files.items()]
    await world.db.write(commit_files, world.actor, None, new)
    await world.db.write(create_file_set, world.actor, fileset, list(files))


async def finish(
    world: World, job_id: str, files: dict[str, bytes], metrics: dict[str, float] | None = None
) -> JobDetail:
    """Let a job that sleeps write these and report that, and end."""
    job = await world.state(job_id, "RUNNING")
    work = world.directory / "jobs" / job.runs[-1].id / "work"
    for name, content in files.items():
        file = work / "out" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    if metrics:
        await world.db.write(take_reports, job.runs[-1].id, [Report(metrics=metrics, values={"model": "cnn"})])
    world.machine.advance(6)
    done = await world.finished(job_id)
    assert done.state == "SUCCEEDED", done
    return done


async def first(world: World, **fields: Any) -> JobDetail:
    await put(world, {"/corpus/a": b"one"}, "corpus")
    fields = {"output": Output(path="out"), **fields}
    job_id = await world.submit("sleep", "5", inputs=(Input(fileset="corpus"),), **fields)
    return await finish(world, job_id, {"a": b"made", "b": b"of it"}, {"accuracy": 0.5})


async def again(world: World, job: JobDetail, **how: Any) -> JobDetail:
    made: JobDetail = await world.db.write(reproduce_job, world.actor, job.id, world.settings, **how)
    return made


async def compared(world: World, job: JobDetail, **how: Any) -> Reproduction:
    found: Reproduction = await world.db.read(get_reproduction, world.actor, job.id, **how)
    return found


async def test_the_same_comes_of_what_was_pinned(world: World) -> None:
    async with running(world):
        job = await first(world, name="train", tags={"a": "b"})
        await put(world, {"/corpus/a": b"newer"}, "corpus")
        made = await again(world, job)
        assert made.spec.inputs == (Input(fileset="corpus:1"),)
        assert (made.spec.command, made.spec.resources, made.name) == (job.spec.command, job.spec.resources, None)
        assert made.output_fileset != job.output_fileset
        assert (await compared(world, made)).verdict == "pending"
        await finish(world, made.id, {"a": b"made", "b": b"of it"})
        found = await compared(world, made)
        assert (found.verdict, found.same_files, found.different_files) == ("equal", 2, 0)
        assert (found.of_id, found.of_run, found.holds) == (job.id, 0, True)


async def test_files_that_differ_are_named_and_metrics_may_be_close(world: World) -> None:
    async with running(world):
        job = await first(world)
        made = await again(world, job, tolerance=0.01)
        await finish(world, made.id, {"a": b"another", "c": b"new"}, {"accuracy": 0.505})
        found = await compared(world, made)
        assert found.verdict == "close"
        assert [(one.path, bool(one.before), bool(one.after)) for one in found.files] == [
            ("/out/a", True, True),
            ("/out/b", True, False),
            ("/out/c", False, True),
        ]
        assert [(one.name, one.before, one.after, one.within) for one in found.metrics] == [
            ("accuracy", 0.5, 0.505, True)
        ]
        strict = await compared(world, made, tolerance=0.001)
        assert (strict.verdict, strict.holds) == ("differs", False)


async def test_what_a_run_reported_is_metadata_of_its_output(world: World) -> None:
    async with running(world):
        job = await first(world)
        (described,) = await world.db.read(get_meta, world.actor, FILESET, [job.outputs[0].fileset])
        assert {key: described.values[key] for key in ("accuracy", "model")} == {"accuracy": 0.5, "model": "cnn"}
        late = [Report(metrics={"accuracy": 0.75}, tags=("good",))]
        await world.db.write(take_reports, job.runs[-1].id, late)
        (described,) = await world.db.read(get_meta, world.actor, FILESET, [job.outputs[0].fileset])
        assert described.values["accuracy"] == 0.75
        assert described.tags == ("good",)


async def test_what_cannot_be_reproduced_is_refused(world: World) -> None:
    async with running(world):
        alive = await world.submit("sleep-forever")
        with pytest.raises(Conflict) as refusal:
            await world.db.write(reproduce_job, world.actor, alive, world.settings)
        assert refusal.value.code == "still-alive"
        await world.db.write(kill_job, world.actor, alive)
        await world.finished(alive)
        with pytest.raises(Conflict) as refusal:
            await world.db.write(reproduce_job, world.actor, alive, world.settings)
        assert refusal.value.code == "never-succeeded"
        with pytest.raises(Conflict) as refusal:
            await world.db.read(get_reproduction, world.actor, alive)
        assert refusal.value.code == "no-reproduction"
        plain = await world.finished(await world.submit("true"))
        for wrong in (-0.1, 1.5, float("nan")):
            with pytest.raises(Invalid):
                await again(world, plain, tolerance=wrong)
        made = await again(world, plain)
        await world.finished(made.id)
        assert (await compared(world, made)).verdict == "nothing"
        failing = await again(world, plain)
        await world.db.write(kill_job, world.actor, failing.id)
        ended = await world.finished(failing.id)
        assert (await compared(world, failing)).verdict == ("failed" if ended.state != "SUCCEEDED" else "nothing")


async def test_an_output_that_was_removed_and_a_job_that_was_forgotten(world: World) -> None:
    async with running(world):
        job = await first(world)
        made = await again(world, job)
        done = await finish(world, made.id, {"a": b"made", "b": b"of it"})
        await world.db.write(remove_file_set, world.actor, job.outputs[0].fileset)
        found = await compared(world, made)
        assert found.verdict == "differs"
        assert any("was removed" in line for line in found.notes)
        await world.db.write(remove_job, world.actor, job.id)
        with pytest.raises(NotFound):
            await compared(world, made)
        await world.db.write(remove_job, world.actor, done.id)
        assert rows(world.db, reproductions) == []


async def user(world: World, name: str, *statements: str) -> Actor:
    made = await world.db.write(create_user, world.actor, name)
    await world.db.write(create_policy, world.actor, "user", made.id, list(statements))
    token = await world.db.write(create_token, world.actor, user_id=made.id)
    found: Actor = (await world.db.read(authenticate, token.secret)).actor
    return found


@pytest.mark.parametrize("lacking", ["job:get", "job:new", "fileset:get", "file:get", "fileset:new", "file:new"])
async def test_who_reproduces_must_be_allowed_all_of_it(world: World, lacking: str) -> None:
    actions = {"account:get", "job:get", "job:new", "fileset:get", "file:get", "fileset:new", "file:new", "group:get"}
    async with running(world):
        job = await first(world)
        may = await user(world, "may", *(f"{action}@*" for action in sorted(actions)))
        may_not = await user(world, "may-not", *(f"{action}@*" for action in sorted(actions - {lacking})))
        assert await world.db.write(reproduce_job, may, job.id, world.settings)
        with pytest.raises(DaisError) as refusal:
            await world.db.write(reproduce_job, may_not, job.id, world.settings)
        assert refusal.value.family in ("forbidden", "not-found", "invalid"), refusal.value
        assert len(rows(world.db, reproductions)) == 1


async def test_an_output_that_may_not_be_seen_is_not_compared(world: World) -> None:
    async with running(world):
        job = await first(world)
        made = await again(world, job)
        await finish(world, made.id, {"a": b"made"})
        eve = await user(world, "eve", "account:get@*", "job:get@*")
        with pytest.raises(Forbidden):
            await world.db.read(get_reproduction, eve, made.id)


async def test_a_name_that_means_another_folder_now_changes_nothing(world: World) -> None:
    async with running(world):
        job = await first(world)
        await world.db.write(set_job, world.actor, job.id, JobChange(name="renamed"))
        made = await again(world, job)
        assert made.name is None
        assert await world.db.read(get_file_set, world.actor, "corpus:1")
