"""What must be true once everything has come to rest, whatever went wrong before."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from dais.sdk.jobs import frame_bytes
from dais.wire.answers import JobDetail
from tests.chaos.lake import collected, lake_is_whole
from tests.support.supervisor import until

if TYPE_CHECKING:
    from tests.chaos.world import Expected, World

DAYS = 3 * 24 * 3600


def check(world: World) -> None:
    """Every invariant, after the world has come to rest. Raises AssertionError with what is wrong."""
    jobs = submits_exist_once(world)
    for job in jobs:
        job_is_right(world, job, world.story.jobs[job.id])
    followers_missed_nothing(world)
    folders_are_whole(world)
    lake_is_whole(world)
    nothing_is_held(world)
    world.installed.wait_nothing_left(*jobs)
    nothing_is_kept(world)
    if (world.installed.data / "dais.db").exists():
        rows_are_right(world)
    assert "Traceback" not in world.installed.said() + world.installed.log(), "a defect was told"


def submits_exist_once(world: World) -> list[JobDetail]:
    """Each submit that was answered made one job, and there is no other."""
    client = world.installed.client()
    names = Counter(job.name for job in client.jobs.list())
    promised = [expected.name for expected in world.story.jobs.values()]
    promised += [f"lake{name}" for name, _ in world.story.lake.jobs.values()]
    assert names == Counter(promised)
    return [client.jobs.get(job_id) for job_id in world.story.jobs]


def job_is_right(world: World, job: JobDetail, expected: Expected) -> None:
    """It has ended for a reason that there was; no run of it began twice; its log is whole."""
    begun = _begun(world, expected.name)
    assert len(begun) == len(set(begun)), f"{expected.name}: a run began twice: {begun}"
    assert set(begun) <= {str(run.index) for run in job.runs}, f"{expected.name}: a run began that nobody knows"
    output = b"".join(
        frame_bytes(frame)
        for frame in world.installed.client().jobs.logs(job.id, run=job.run_index)
        if frame.stream == "stdout"
    ) if job.runs else b""  # fmt: skip
    assert {run.reason for run in job.runs[:-1]} <= {"node-lost"}, expected.name
    if job.state == "CANCELLED":
        assert expected.killed, f"{expected.name} was cancelled by nobody"
        assert expected.output.startswith(output), expected.name
    elif job.reason == "node-lost":
        assert not expected.restartable, f"{expected.name} was not run again"
        assert len(job.runs) == 1
        assert expected.output.startswith(output), expected.name
    else:
        assert job.exit_code == expected.code, (expected.name, job.state, job.reason, job.detail)
        if job.runs[-1].log_truncated:
            assert world.filled, f"{expected.name}: output is missing although there was room for it"
            return
        assert output == expected.output, f"{expected.name}: its log is not whole"


def _begun(world: World, name: str) -> list[str]:
    client = world.installed.client()
    shared = world.installed.data / "folders" / client.folders.get("shared").id
    with contextlib.suppress(FileNotFoundError):
        return (shared / name).read_text().split()
    return []


def followers_missed_nothing(world: World) -> None:
    """Who followed a job through cuts and deaths was told each line once, and the end."""
    for follower in world.followers:
        expected = world.story.jobs[follower.job_id]
        assert not follower.is_alive(), f"the follower of {expected.name} has not been told the end"
        assert follower.error is None, f"following {expected.name}: {follower.error!r}"
        assert follower.ended is not None
        whole = not follower.ended.runs[-1].log_truncated if follower.ended.runs else False
        if whole and len(follower.ended.runs) == 1 and follower.ended.exit_code is not None and not expected.killed:
            assert follower.told == expected.output, f"the follower of {expected.name} missed something"


def folders_are_whole(world: World) -> None:
    """What was pushed is there, byte for byte; what was removed is not; on the disk lies nothing else."""
    client, data = world.installed.client(), world.installed.data
    known = {folder.name: folder.id for folder in client.folders.list()}
    assert known.keys() == {"shared", *world.story.folders}
    for name, files in world.story.folders.items():
        root = data / "folders" / known[name]
        found = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        assert found == files, f"{name} is not what was pushed"


def nothing_is_held(world: World) -> None:
    """No node has less free than it has, and nothing of a run is with the supervisor."""
    for node in world.installed.ask("GET", "/v1/nodes").json["items"]:
        assert (node["free_cpu"], node["free_mem"], node["free_gpu"]) == (node["cpu"], node["mem"], node["gpu"]), node
    until(lambda: not list((world.installed.node / "attempts").glob("*")), "the supervisor keeps no log any more")


def nothing_is_kept(world: World) -> None:
    """Three days later what was never finished has gone, too."""
    installed = world.installed
    installed.kill()
    installed.set_clock(DAYS)
    installed.start()
    folders = installed.data / "folders"
    known = {folder.id for folder in installed.client().folders.list()}

    def tidy() -> bool:
        # `os.walk` goes on where a directory is being removed meanwhile.
        aside = any(names for place in (".partial", ".trash") for _, _, names in os.walk(folders / place))
        return not aside and {path.name for path in folders.iterdir() if not path.name.startswith(".")} == known

    until(tidy, "only the files of known folders are there")
    collected(world)
    supervisor = installed.supervisor()
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    assert len(children) == 1, "beside its guard the supervisor has no child"


def rows_are_right(world: World) -> None:
    """The database is sound, every run is over and stored, and every event was numbered, one after the other."""
    with contextlib.closing(sqlite3.connect(world.installed.data / "dais.db")) as database:

        def column(statement: str) -> list[object]:
            return [row[0] for row in database.execute(statement)]

        assert column("PRAGMA integrity_check") == ["ok"]
        assert column("PRAGMA foreign_key_check") == []
        assert column("SELECT id FROM runs WHERE ended_at IS NULL OR shipped_at IS NULL") == []
        assert column("SELECT id FROM jobs WHERE ended_at IS NULL") == []
        until(lambda: column("SELECT count(*) FROM events WHERE seq IS NULL") == [0], "every event has its number")
        numbers = column("SELECT seq FROM events ORDER BY seq")
        assert numbers == list(range(1, len(numbers) + 1))
        finals = Counter(
            column(
                "SELECT subject_id FROM events WHERE kind = 'job.state' AND "
                "json_extract(data, '$.state') IN ('SUCCEEDED', 'FAILED', 'CANCELLED')"
            )
        )
        assert finals == Counter(column("SELECT id FROM jobs")), "each job's end is told once"
        latest = column(
            "SELECT jobs.id FROM jobs WHERE state <> "
            "(SELECT state FROM job_history WHERE job_id = jobs.id ORDER BY id DESC LIMIT 1)"
        )
        assert latest == [], "a job's history ends with its state"
