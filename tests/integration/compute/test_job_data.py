"""Jobs with data of the lake, on both databases: what is fixed, who may, what is kept, and what comes of an output."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from dais.compute import (
    Partial,
    collect_blobs,
    find_partial,
    remove_job,
    remove_unused_file,
    remove_unused_file_set,
    retry_job,
    submit_job,
)
from dais.compute.groups.commands import register_group, update_nodes
from dais.compute.jobs.outputs import pending_output, refuse_output, store_output
from dais.compute.jobs.progress import DOWNLOADING, UPLOADING, note_progress
from dais.compute.loops.housekeeping import overdue
from dais.compute.loops.tick import tick
from dais.data import (
    BlobStore,
    LakeFile,
    SetVersion,
    commit_files,
    create_file_set,
    create_folder,
    get_file,
    get_file_set,
    get_folder,
    list_file_set_versions,
    seal_folder,
    source_file,
    take_folder,
)
from dais.engines.contract import NodeInfo
from dais.identity import Actor, authenticate, create_policy, create_token, create_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from dais.kit.errors import Conflict, DaisError, NotFound
from dais.kit.ids import new_id
from dais.kit.outbox import after, number_events
from dais.provenance import trace_backward, unknown_parents
from dais.wire.answers import JobDetail
from dais.wire.lake import NewVersion
from dais.wire.spec import Input, JobSpec, Mount, Output, Resources
from tests.support.world import GROUP, World, running

DAY = 25 * 3600.0

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(database: Database, clock: ManualClock, tmp_path: Path) -> World:
    return World(database, clock, tmp_path, finishing_limit=100.0)


async def put(world: World, files: dict[str, bytes], fileset: str | None = None) -> None:
    """Commit files, and make a set of just them."""
    new = [NewVersion(path=path, digest=world.blobs.put(content), size=len(content)) for path, content in files.items()]
    await world.db.write(commit_files, world.actor, None, new)
    if fileset is not None:
        await world.db.write(create_file_set, world.actor, fileset, list(files))


async def running_job(world: World, **fields: Any) -> tuple[str, Path]:
    """A job that runs for five seconds; its id and its working directory."""
    job_id = await world.submit("sleep", "5", **fields)
    job = await world.state(job_id, "RUNNING")
    return job_id, world.directory / "jobs" / job.runs[-1].id / "work"


async def ended(world: World, job_id: str) -> JobDetail:
    world.machine.advance(6)
    return await world.finished(job_id)


async def user(world: World, name: str, *statements: str) -> Actor:
    """Somebody who may do these, and submit jobs."""
    made = await world.db.write(create_user, world.actor, name)
    await world.db.write(create_policy, world.actor, "user", made.id, ["job:*@*", "group:get@*", *statements])
    token = await world.db.write(create_token, world.actor, user_id=made.id)
    found: Actor = (await world.db.read(authenticate, token.secret)).actor
    return found


async def refused(world: World, actor: Actor, **fields: Any) -> DaisError:
    """How a submit is refused."""
    spec = JobSpec(command=("true",), resources=Resources(cpu=0.1, mem=1 << 20), account="local.joe", **fields)
    with pytest.raises(DaisError) as caught:
        await world.db.write(submit_job, actor, spec, world.settings)
    return caught.value


async def test_versions_are_fixed_at_the_submit_and_stay(world: World) -> None:
    await put(world, {"/corpus/a": b"one", "/corpus/b": b"two"}, "corpus")
    async with running(world):
        job_id = await world.submit("true", inputs=(Input(fileset="corpus"),), output=Output(path="out"))
        await put(world, {"/corpus/a": b"changed"}, "corpus")
        job = await world.finished(job_id)
        assert job.spec.inputs == (Input(fileset="corpus:1"),)
        assert [(one.fileset, one.files, one.size) for one in job.inputs] == [("corpus:1", 2, 6)]
        name = f"job_{job.number}_output"
        assert job.output_fileset == name
        again = await world.finished(await world.db.write(retry_job, world.actor, job_id, world.settings))
        assert [one.fileset for one in again.inputs] == ["corpus:1"]
        assert [one.fileset for one in again.outputs] == [f"{name}:1", f"{name}:2"]
        found: SetVersion = await world.db.read(get_file_set, world.actor, name)
        assert (found.made_by, found.made_by_id) == ("job", job_id)
        assert await world.db.read(unknown_parents) == []
        trace = await world.db.read(trace_backward, world.actor, f"@{name}:1")
        assert {node.name for node in trace.nodes} >= {f"{name}:1", "corpus:1"}


async def sealed(world: World, name: str, **files: str) -> str:
    """Put files into a folder, and make a version of it: its name."""
    try:
        folder = (await world.db.read(get_folder, world.actor, name)).id
    except NotFound:
        folder = new_id()
        world.folders.create(folder)
        await world.db.write(create_folder, world.actor, folder, name)
    place = world.folders.root / folder
    for path, text in files.items():
        (place / path.replace("__", "/")).parent.mkdir(exist_ok=True)
        (place / path.replace("__", "/")).write_text(text)
    taken = take_folder(world.folders, world.blobs, folder)
    made: SetVersion = await world.db.write(seal_folder, world.actor, folder, taken.files)
    return f"{name.partition('@')[0]}@{made.version}"


async def test_a_version_of_a_folder_is_mounted_as_it_was(world: World) -> None:
    first = await sealed(world, "code", main="1", lib__a="a")
    assert (first, await sealed(world, "code")) == ("code@1", "code@1"), "what is the same makes no new version"
    await sealed(world, "code", main="2")
    await sealed(world, "code@next", main="3")
    async with running(world):
        mounts = (
            Mount(name="local.joe.code@1", target="/app", read_only=True),
            Mount(name="code@2", path="lib", target="/lib2", read_only=True),
            Mount(name="code@3", target="/next", read_only=True),
        )
        job_id, _ = await running_job(world, data=mounts)
        binds = {bind.target: bind for bind in world.machine.launched[-1].binds}
        assert (Path(binds["/app"].source) / "main").read_text() == "1"
        assert os.listdir(binds["/lib2"].source) == ["a"]  # noqa: PTH208
        assert (Path(binds["/next"].source) / "main").read_text() == "3"
        assert all(binds[target].read_only for target in ("/app", "/lib2", "/next"))
        job = await world.job(job_id)
        assert job.spec.data == mounts
        assert [one.fileset for one in job.inputs] == ["code:1", "code:2", "code:3"]
        with pytest.raises(Conflict, match="job"):
            await world.db.write(remove_unused_file_set, world.actor, "code:1")
        await ended(world, job_id)
        again = await world.db.write(retry_job, world.actor, job_id, world.settings)
        await world.state(again, "RUNNING")
        await ended(world, job_id)
        for name, path, code in (("code@9", "", "no-such-fileset"), ("code@1", "nothing", "no-such-directory")):
            mount = Mount(name=name, path=path, target="/x", read_only=True)
            assert (await refused(world, world.actor, data=(mount,))).code == code


async def test_a_version_is_mounted_by_who_may_mount_the_folder_and_read_its_files(world: World) -> None:
    await sealed(world, "code", main="1")
    mount = Mount(name="local.joe.code@1", target="/app", read_only=True)
    spec = JobSpec(command=("true",), resources=Resources(cpu=0.1, mem=1 << 20), account="local.joe", data=(mount,))
    async with running(world):
        reads = await user(world, "reads", "account:get@*", "fileset:get+file:get@*")
        assert (await refused(world, reads, data=(mount,))).code == "no-such-folder"
        sees = await user(world, "sees", "account:get@*", "data:get+fileset:get+file:get@*")
        assert "data:mount" in str(await refused(world, sees, data=(mount,)))
        mounts = await user(world, "mounts", "account:get@*", "data:get+data:mount@*")
        assert (await refused(world, mounts, data=(mount,))).code == "no-such-fileset"
        lists = await user(world, "lists", "account:get@*", "data:get+data:mount+fileset:get@*")
        assert "file:get" in str(await refused(world, lists, data=(mount,)))
        both = await user(world, "both", "account:get@*", "data:get+data:mount+fileset:get+file:get@*")
        made: JobDetail = await world.db.write(submit_job, both, spec, world.settings)
        world.machine.advance(1)
        assert (await world.finished(made.id)).state == "SUCCEEDED"
        assert await world.db.read(unknown_parents) == []


async def test_what_was_written_becomes_versions_and_a_set(world: World) -> None:
    await put(world, {"/out/given": b"as it was", "/out/changed": b"before"}, "given")
    async with running(world):
        given = (Input(fileset="given"),)
        job_id, work = await running_job(world, inputs=given, output=Output(path="out", fileset="model"))
        assert (work / "out/given").read_bytes() == b"as it was"
        (work / "out/changed").unlink()
        (work / "out/changed").write_bytes(b"after")
        (work / "out/large").write_bytes(b"x" * (3 << 20))
        os.mkfifo(work / "out/pipe")
        job = await ended(world, job_id)
        assert job.state == "SUCCEEDED", job
        assert [(one.fileset, one.files, one.size) for one in job.outputs] == [("model:1", 2, 5 + (3 << 20))]
        assert "out/pipe (no file)" in job.warnings[-1]
        file: LakeFile = await world.db.read(get_file, world.actor, "/out/changed")
        assert (file.version, world.blobs.read(file.digest)) == (2, b"after")


async def test_an_output_that_cannot_be_fails_the_job_and_is_kept_aside(world: World) -> None:
    async with running(world):
        job_id, work = await running_job(world, output=Output(path="out"))
        (work / "out").mkdir()
        (work / "out/fine").write_bytes(b"fine")
        (work / "out/like:3").write_bytes(b"a version")
        job = await ended(world, job_id)
        assert (job.state, job.reason, job.runs[-1].state) == ("FAILED", "output-failed", "FAILED")
        assert "which mean a version" in (job.detail or "")
        assert not job.outputs

        await put(world, {"/clash": b"a file"})
        job_id, work = await running_job(world, output=Output(path="clash"))
        (work / "clash").mkdir()
        (work / "clash/x").write_bytes(b"x")
        job = await ended(world, job_id)
        assert (job.state, job.reason, job.has_partial) == ("FAILED", "output-failed", True)
        assert "would be a file and a directory at once" in (job.detail or "")
        kept: Partial = await world.db.read(find_partial, world.actor, job_id)
        assert kept.digest is not None
        assert source_file(world.blobs, kept.digest, "clash/x") == b"x"
        await collect_blobs(world.db, world.blobs, now=time.time() + DAY)
        assert source_file(world.blobs, kept.digest, "clash/x") == b"x", "it is needed as long as the job is there"


async def test_an_output_beyond_its_limit_fails_the_job(database: Database, clock: ManualClock, tmp_path: Path) -> None:
    world = World(database, clock, tmp_path, output_limit=1000, partial_limit=10)
    async with running(world):
        job_id, work = await running_job(world, output=Output(path="out"))
        (work / "out").mkdir()
        with (work / "out/sparse").open("wb") as file:
            file.truncate(1 << 40)
        job = await ended(world, job_id)
        assert (job.state, job.reason, job.has_partial) == ("FAILED", "output-failed", False)
        assert "more than 1,000 bytes" in (job.detail or "")


async def test_a_set_is_made_once_however_often_it_is_tried(world: World) -> None:
    async with running(world):
        job_id, _ = await running_job(world, output=Output(path="out"))
        job = await ended(world, job_id)
        run_id = job.runs[-1].id
        assert await world.db.write(store_output, run_id, [], []) is False
        assert await world.db.read(pending_output, run_id) is None
        await world.db.write(refuse_output, run_id, "too late")
        assert (await world.job(job_id)).state == "SUCCEEDED"
        found = await world.db.read(list_file_set_versions, world.actor, f"job_{job.number}_output")
        assert len(found.items) == 1


async def test_who_may_not_read_or_write_may_not_submit(world: World) -> None:
    await put(world, {"/corpus/a": b"one", "/secret/b": b"two"}, "corpus")
    await put(world, {"/code.zip": b"zip"})
    world.db.write_sync(register_group, GROUP, "fake", "host")
    ann = await user(world, "ann", "fileset:get@*", "file:get@*:file:/corpus/*", "account:get@*")
    inputs = (Input(fileset="corpus"),)
    assert (await refused(world, ann, inputs=inputs)).code == "not-allowed"
    assert (await refused(world, ann, code="/code.zip")).family in ("forbidden", "not-found")
    assert (await refused(world, ann, output=Output(path="out"))).code == "not-allowed"
    writer = await user(world, "ben", "fileset:new@*", "file:new@*:file:/out/*", "account:get@*")
    assert (await refused(world, writer, output=Output(path="elsewhere"))).code == "not-allowed"
    assert (await refused(world, writer, inputs=inputs)).family in ("forbidden", "not-found")
    spec = JobSpec(command=("true",), account="local.joe", output=Output(path="out"))
    made: JobDetail = await world.db.write(submit_job, writer, spec, world.settings)
    assert made.output_fileset == f"job_{made.number}_output"


async def test_what_is_not_there_or_clashes_is_refused(world: World) -> None:
    await put(world, {"/a": b"1"}, "first")
    await put(world, {"/a": b"2"}, "second")
    await put(world, {"/b/c": b"1", "/b/d": b"1"}, "third")
    world.db.write_sync(register_group, GROUP, "fake", "host")
    near = await refused(world, world.actor, inputs=(Input(fileset="frist"),))
    assert (near.code, "did you mean first?" in near.message) == ("no-such-fileset", True)
    assert (await refused(world, world.actor, code="/no.zip")).code == "no-such-file"
    both = (Input(fileset="first"), Input(fileset="second"))
    assert (await refused(world, world.actor, inputs=both)).code == "path-conflict"
    apart = (Input(fileset="first"), Input(fileset="second", target="/second"), Input(fileset="third"))
    await world.submit("true", inputs=apart)


async def test_what_a_job_uses_is_not_removed(world: World) -> None:
    await put(world, {"/corpus/a": b"one"}, "corpus")
    await put(world, {"/code.zip": b"zip"})
    world.db.write_sync(register_group, GROUP, "fake", "host")
    job_id = await world.submit("true", inputs=(Input(fileset="corpus"),), code="/code.zip")
    number = (await world.job(job_id)).number
    for remove, name in ((remove_unused_file_set, "corpus"), (remove_unused_file, "/code.zip")):
        with pytest.raises(Conflict, match=f"used by job {number}") as caught:
            await world.db.write(remove, world.actor, name)
        assert caught.value.code == "in-use"
    await world.kill(job_id)
    await world.db.write(remove_job, world.actor, job_id)
    assert await world.db.write(remove_unused_file_set, world.actor, "corpus") == 1
    assert await world.db.write(remove_unused_file, world.actor, "/code.zip") == 1


async def test_an_output_that_cannot_be_stored_in_time_fails_the_job(world: World) -> None:
    world.blobs = BlobStore(world.directory / "blobs", reserve=1 << 60)  # as on a disk that is full
    async with running(world):
        job_id, work = await running_job(world, output=Output(path="out"))
        (work / "out").mkdir()
        (work / "out/x").write_bytes(b"x" * 100)
        world.machine.advance(6)

        async def begun() -> bool:
            return (await world.job(job_id)).phase == UPLOADING

        await world.until_true(begun, "its output is being taken, and from then on its time counts")
        world.clock.advance(1000)
        await world.db.write(overdue, GROUP, world.settings, ())
        job = await world.finished(job_id)
        assert (job.state, job.reason) == ("FAILED", "output-failed")
        assert "in time" in (job.detail or "")


async def test_the_way_of_the_data_is_told(world: World) -> None:
    await put(world, {"/corpus/a": b"one", "/b": b"two"}, "corpus")
    async with running(world):
        job_id, work = await running_job(world, inputs=(Input(fileset="corpus"),), output=Output(path="out"))
        (work / "out").mkdir()
        (work / "out/x").write_bytes(b"1234567")
        job = await ended(world, job_id)
        assert job.phase is None
    await world.db.write(number_events)
    events = await world.db.read(after, 0, subject=job_id)
    told = [tuple(event.data.values()) for event in events if event.kind == "job.progress"]
    assert told == [("downloading", 0, 6), ("downloading", 6, 6), ("uploading", 0, 7), ("uploading", 7, 7)]


async def test_a_phase_is_shown_while_it_is_the_jobs(world: World) -> None:
    await put(world, {"/a": b"one"}, "corpus")
    world.db.write_sync(register_group, GROUP, "fake", "host")
    await world.db.write(update_nodes, GROUP, [NodeInfo(name="n1", cpu=4.0, memory=1 << 30)])
    job_id = await world.submit("true", inputs=(Input(fileset="corpus"),))
    outcome = await world.db.write(tick, GROUP, [], [])
    (work,) = outcome.preparations
    assert not outcome.launches
    assert await world.db.write(note_progress, work.run_id, DOWNLOADING, 1, 3)
    job = await world.job(job_id)
    assert (job.state, job.phase, job.phase_done, job.phase_total) == ("PREPARING", "downloading", 1, 3)
    await world.kill(job_id)
    assert not await world.db.write(note_progress, work.run_id, DOWNLOADING, 2, 3), "nobody waits for it any more"
    assert (await world.job(job_id)).phase is None
