"""Slurm jobs as mapped Unix users: each runs as its own user, and none reaches what is another's or the server's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dais.engines.contract import Bind, Phase
from dais.engines.slurm import SlurmEngine, check
from dais.kit.ids import new_id
from dais.node.fence import As
from tests.support.engines import Watcher, drain, eventually, output, printed, read_log, watching
from tests.support.needs import UNPRIVILEGED
from tests.support.slurm import Cluster
from tests.support.slurm_mapped import ANN, BEA, MappedGroup, as_user, mapped_group
from tests.support.users import local_user

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

WHO = "id -un; id -u; pwd; cat told.txt; echo mine > told.txt; mkdir closed; chmod 0 closed; stat -c %u told.txt"


@pytest.fixture(scope="module")
def group(slurm: Cluster) -> Iterator[MappedGroup]:
    with mapped_group(slurm) as made:
        yield made


@pytest.fixture
async def engine(group: MappedGroup) -> AsyncIterator[SlurmEngine]:
    made = group.engine()
    await made.start()
    await made.host_tools()
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def watcher(engine: SlurmEngine) -> AsyncIterator[Watcher]:
    async with watching(engine) as made:
        yield made


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A working directory as the server stages it."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "told.txt").write_text("from the server\n")
    (work / "link").symlink_to("told.txt")
    return work


async def test_each_job_runs_as_the_unix_user_of_its_owner(
    group: MappedGroup, engine: SlurmEngine, watcher: Watcher, staged: Path
) -> None:
    binds = (Bind(source=str(staged), target="/home/work", read_only=False),)
    more = {"binds": binds, "workdir": "/home/work"}
    specs = [group.spec(("sh", "-c", WHO), owner, **more) for owner in (ANN, BEA)]
    handles = await engine.launch(specs)
    for spec, handle, user in zip(specs, handles, (group.ann, group.bea), strict=True):
        end = await watcher.over(spec.attempt_id)
        said = output(await read_log(engine, handle)).decode()
        assert (end.reason, end.exit_code) == ("exit-code", 0), (end, said)
        assert said.splitlines() == [user.pw_name, str(user.pw_uid), "/home/work", "from the server", str(user.pw_uid)]
        own = group.place(user, spec) / "own"
        await eventually(lambda own=own: _is_empty(own), "what was the job's own is gone")  # type: ignore[misc]
    assert (staged / "told.txt").read_text() == "from the server\n"
    await engine.forget(handles)
    for spec, user in zip(specs, (group.ann, group.bea), strict=True):
        assert not group.place(user, spec).exists()


async def _is_empty(directory: Path) -> bool:
    return not await asyncio.to_thread(os.listdir, directory)


async def test_commands_run_in_it_and_it_is_stopped_also_by_the_next_server(
    group: MappedGroup, engine: SlurmEngine
) -> None:
    script = "trap 'echo told to end; exit 5' TERM; echo here; while :; do sleep 0.1; done"
    spec = group.spec(("sh", "-c", script))
    async with watching(engine) as watcher:
        [handle] = await engine.launch([spec])
        await watcher.running(spec.attempt_id)
        await printed(engine, handle, b"here\n")
    jobs = group.cluster.run("squeue", "--noheader", "--format=%u|%j").split()
    assert jobs == [f"{group.ann.pw_name}|dais-{spec.attempt_id}"]
    stream = await engine.exec(handle, ("id", "-u"), env={}, workdir=None, pty=None)
    assert (await drain(stream))[0] == f"{group.ann.pw_uid}\n".encode()
    await engine.close()
    again = group.engine()
    await again.start()
    try:
        async with watching(again) as watcher:
            await again.stop(handle, grace=10, reason="user-request")
            end = await watcher.over(spec.attempt_id)
        assert (end.reason, end.stop_reason) == ("stopped", "user-request")
        assert b"told to end\n" in output(await read_log(again, handle))
    finally:
        await again.close()


async def test_who_has_no_unix_user_is_refused_and_so_is_a_folder(
    group: MappedGroup, engine: SlurmEngine, watcher: Watcher, tmp_path: Path
) -> None:
    folder = (Bind(source=str(tmp_path), target="/mnt/folder", exact=True),)
    for spec, words in (
        (group.spec(("true",), new_id()), "has no Unix user"),
        (group.spec(("true",), "", labels={"dais.job": "x"}), "whose Unix user"),
        (group.spec(("true",), binds=folder), "cannot be given"),
    ):
        await engine.launch([spec])
        end = await watcher.over(spec.attempt_id)
        assert (end.reason, words in (end.detail or "")) == ("launch-failed", True), end


async def test_it_is_told_which_unix_user_cannot_be_and_why(group: MappedGroup) -> None:
    with local_user() as dora:
        for unix, words in (
            ("nobody-else", "does not know the Unix user"),
            ("daemon", "a system user's"),
            (group.cluster.user, "the server's own"),
            (dora.pw_name, "sudo does not let"),
        ):
            await refused(group, unix, words)


async def test_a_user_sees_the_directories_of_its_own_that_the_group_shows(group: MappedGroup) -> None:
    for user in (group.ann, group.bea):
        own = group.cluster.place / f"home-{user.pw_name}"
        own.mkdir(mode=0o700)
        os.chown(own, user.pw_uid, user.pw_gid)
    pattern = f"{group.cluster.place}/home-{{user}}"
    theirs = pattern.replace("{user}", group.bea.pw_name)
    engine = group.engine(own_directories=(pattern,))
    await engine.start()
    try:
        mine = pattern.replace("{user}", group.ann.pw_name)
        spec = group.spec(("sh", "-c", f"echo kept > {mine}/file; ls {theirs} || echo hidden"))
        async with watching(engine) as watcher:
            [handle] = await engine.launch([spec])
            end = await watcher.over(spec.attempt_id)
        assert (end.exit_code, output(await read_log(engine, handle))) == (0, b"hidden\n"), end
        kept = group.cluster.place / f"home-{group.ann.pw_name}" / "file"
        assert (kept.read_text(), kept.stat().st_uid) == ("kept\n", group.ann.pw_uid)
    finally:
        await engine.close()


async def test_the_check_tells_whether_directories_and_sudo_are_ready(group: MappedGroup) -> None:
    report = await check(group.options(), data_dir=group.directory)
    assert report.sound, report.findings
    assert {one.name for one in report.findings} >= {"access", "users"}
    inner = group.directory / "closed" / "inner"
    inner.mkdir(parents=True)
    for path in (inner.parent, inner):
        os.chown(path, UNPRIVILEGED, -1)
        path.chmod(0o700)
    with local_user() as dora:
        other = group.options(users=(f"{ANN}={dora.pw_name}",), directory=str(inner))
        report = await check(other, data_dir=group.directory)
    found = {one.name: one for one in report.findings}
    assert "sudo does not let" in found["users"].detail
    assert "cannot pass through" in found["access"].detail


async def refused(group: MappedGroup, unix: str, words: str) -> None:
    made, spec = group.engine(users=(f"{ANN}={unix}",)), group.spec(("true",))
    await made.start()
    try:
        async with watching(made) as watcher:
            await made.launch([spec])
            end = await watcher.over(spec.attempt_id)
        assert (end.reason, words in (end.detail or "")) == ("launch-failed", True), end
    finally:
        await made.close()


async def test_attempts_of_others_and_of_the_server_cannot_be_read(
    group: MappedGroup, engine: SlurmEngine, watcher: Watcher
) -> None:
    spec = group.spec(("sleep", "3600"), BEA)
    [handle] = await engine.launch([spec])
    await watcher.running(spec.attempt_id)
    place, own = group.place(group.bea, spec), group.directory / "attempts" / spec.attempt_id
    for path in (place, place / "journal", place.parent, own, own / "job", group.directory / "facts.json"):
        assert as_user(group.ann, f"cat {path} || ls {path}/").returncode != 0, path
        assert as_user(group.ann, f"touch {path}/x || : >> {path}").returncode != 0, path
    assert as_user(group.ann, f"ls {group.directory} || ls {group.directory}/users").returncode != 0
    assert as_user(group.bea, f"cat {own}/job || mv {place} {place}x || rm {own}/job").returncode != 0
    assert as_user(group.bea, f"cat {place}/journal").returncode == 0, "her own she may read"
    await engine.stop(handle, grace=0, reason="user-request")
    await watcher.over(spec.attempt_id)


async def test_what_a_user_puts_in_place_of_its_records_leads_nowhere(
    group: MappedGroup, engine: SlurmEngine, watcher: Watcher, tmp_path: Path
) -> None:
    """Links to what is the server's and others', pipes, and endless files: nothing is read, written, or waited for."""
    secret = tmp_path / "secret"
    secret.write_text('{"j":"record","record":{"seq":9,"attempt_id":"x","kind":"ended","at":1,"reason":"stopped"}}\n')
    victim = group.spec(("sh", "-c", "echo of bea; sleep 3600"), BEA)
    spec = group.spec(("sleep", "3600"))
    theirs, handle = await engine.launch([victim, spec])
    for one in (victim, spec):
        await watcher.running(one.attempt_id)
    await printed(engine, theirs, b"of bea\n")
    place, other = group.place(group.ann, spec), group.place(group.bea, victim)
    log = f"attempts/{spec.attempt_id}/log"
    done = as_user(
        group.ann,
        f"cd {place} && mv journal old && ln -s {secret} journal && rm -f usage && mkfifo usage"
        f" && ln -s {secret} stop && ln -s {secret} bridge && mkdir -p attempts/{spec.attempt_id}"
        f" && mv attempts moved && mkdir -p attempts/{spec.attempt_id}"
        f" && ln -s {other}/attempts/{victim.attempt_id}/log {log} && ln -s {secret} address",
    )
    assert done.returncode == 0, done.stderr
    users = group.directory / "users"
    news = users / group.ann.pw_name / "news"
    done = as_user(
        group.ann,
        f"cd {news} && touch {victim.attempt_id} {spec.attempt_id} && mkdir -p {spec.attempt_id}x/y"
        f" && ln -s {secret} link",
    )
    assert done.returncode == 0, done.stderr
    await eventually(lambda: _empty_of(news, spec.attempt_id), "that the news was heard")
    assert (await engine.logs(handle, None)).frames == []
    assert await engine.log_end(handle) == "0:0"
    assert (await engine.usage([handle]))[0] is None
    assert {status.phase for status in await engine.poll([theirs, handle])} == {Phase.RUNNING}
    before = secret.read_text()
    await engine.stop(handle, grace=0, reason="user-request")
    assert secret.read_text() == before
    assert (await engine.poll([theirs]))[0].phase is Phase.RUNNING
    assert await _after_stop(engine, watcher, spec.attempt_id)
    await engine.stop(theirs, grace=0, reason="user-request")
    await watcher.over(victim.attempt_id)
    await engine.forget([handle, theirs])
    assert secret.read_text() == before


async def test_a_user_comes_in_only_after_all_that_a_job_is_given_was_laid_down(
    group: MappedGroup, engine: SlurmEngine, watcher: Watcher, staged: Path
) -> None:
    """Else a link in the place of what is being written would lead the server out of the directory."""
    missing = Bind(source=str(staged / "missing"), target="/home/work/missing")
    spec = group.spec(("true",), binds=(Bind(source=str(staged), target="/home/work"), missing))
    await engine.launch([spec])
    assert (await watcher.over(spec.attempt_id)).reason == "launch-failed"
    place = group.place(group.ann, spec)
    assert (place / "given" / "0" / "told.txt").exists(), "it was being laid down"
    assert as_user(group.ann, f"ls {place} || mv {place}/given {place}/mine").returncode != 0


async def _empty_of(directory: Path, name: str) -> bool:
    return not await asyncio.to_thread((directory / name).exists)


async def _after_stop(engine: SlurmEngine, watcher: Watcher, attempt_id: str) -> bool:
    """Its records are gone, but Slurm tells of its end."""
    return (await watcher.over(attempt_id)).phase in (Phase.ENDED, Phase.LOST)


async def test_a_forged_journal_changes_only_its_own_job_and_only_as_a_journal_can(
    group: MappedGroup, engine: SlurmEngine, watcher: Watcher
) -> None:
    victim = group.spec(("sleep", "3600"), BEA)
    spec = group.spec(("sleep", "3600"))
    [theirs, _] = await engine.launch([victim, spec])
    for one in (victim, spec):
        await watcher.running(one.attempt_id)
    place = group.place(group.ann, spec)
    end = '{"j":"record","record":{"seq":7,"attempt_id":"%s","kind":"ended","at":%s,"reason":"%s","exit_code":%s%s}}'
    lines = [
        end % (victim.attempt_id, '"soon"', "exit-code", 0, ""),
        end % (victim.attempt_id, 1, "exit-code", '{"a":1}', ""),
        end % (victim.attempt_id, 1, "preempted", 0, ""),
        end % (victim.attempt_id, 10**30, "exit-code", 0, ""),
        end % (victim.attempt_id, 1, "exit-code", 0, ',"detail":"' + "x" * 10_000 + '"'),
        "[" * 100_000,
        end % (victim.attempt_id, 1, "exit-code", 0, ',"stop_reason":"preempted"'),
    ]
    (group.cluster.place / "forged").write_text("\n".join(lines) + "\n")
    done = as_user(
        group.ann,
        f"cat {group.cluster.place}/forged > {place}/journal; touch {place.parent.parent}/news/{victim.attempt_id}"
        f" {place.parent.parent}/news/{spec.attempt_id}",
    )
    assert done.returncode == 0, done.stderr
    told = await watcher.over(spec.attempt_id)
    assert (told.reason, told.exit_code, told.stop_reason) == ("exit-code", 0, None)
    assert (await engine.poll([theirs]))[0].phase is Phase.RUNNING
    await engine.stop(theirs, grace=0, reason="user-request")
    assert (await watcher.over(victim.attempt_id)).reason == "stopped"
    group.cluster.run("scancel", "--quiet", f"--user={group.ann.pw_name}")


async def test_what_only_the_user_can_remove_is_removed_by_the_users_next_job(
    group: MappedGroup, engine: SlurmEngine, watcher: Watcher
) -> None:
    first = group.spec(("sleep", "3600"))
    await engine.launch([first])
    await watcher.running(first.attempt_id)
    place = group.place(group.ann, first)
    done = as_user(group.ann, f"mkdir -p {place}/own/x/y && chmod 0 {place}/own/x")
    assert done.returncode == 0, done.stderr
    group.cluster.run("scancel", "--quiet", "--signal=KILL", "--full", f"--user={group.ann.pw_name}")
    await watcher.over(first.attempt_id)
    with As(UNPRIVILEGED, UNPRIVILEGED):  # with the rights that a server has
        engine._store.remove([first.attempt_id])
    trash = group.directory / "users" / group.ann.pw_name / "trash"
    assert [entry.name for entry in trash.iterdir()] == [first.attempt_id]
    second = group.spec(("true",))
    await engine.launch([second])
    assert (await watcher.over(second.attempt_id)).exit_code == 0
    assert list(trash.iterdir()) == []


async def test_a_job_that_another_user_has_named_after_an_attempt_is_not_taken_for_it(
    group: MappedGroup, engine: SlurmEngine, watcher: Watcher
) -> None:
    spec, hers = group.spec(("sleep", "3600")), group.spec(("sleep", "3600"), BEA)

    def forge() -> None:
        words = (f"--job-name=dais-{spec.attempt_id}", "--output=/dev/null", "--chdir=/")
        group.cluster.run("sbatch", *words, given="#!/bin/sh\nsleep 3600\n", user=group.bea.pw_uid)

    forge()  # before and after: in whatever order they are told, hers is the first and the last
    [handle, _] = await engine.launch([spec, hers])
    for one in (spec, hers):  # so that her jobs are asked about, too
        await watcher.running(one.attempt_id)
    await engine.close()
    kept = group.directory / "attempts" / spec.attempt_id / "job"
    real = kept.read_text()
    kept.unlink()  # as if the server had died before it wrote it
    forge()

    async def all_run() -> bool:
        said = group.cluster.run("squeue", "--noheader", f"--user={group.bea.pw_name}", "--format=%T")
        return said.split() == ["RUNNING"] * 3

    await eventually(all_run, "hers run")
    again = group.engine()
    await again.start()
    try:
        await eventually(lambda: asyncio.to_thread(kept.exists), "that its job was found")
        assert kept.read_text() == real
        async with watching(again) as following:
            await again.stop(handle, grace=0, reason="user-request")
            await following.over(spec.attempt_id)
    finally:
        await again.close()
        group.cluster.run("scancel", "--quiet", f"--user={group.bea.pw_name}")
