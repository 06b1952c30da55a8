"""The machine lets the server down while it works: a full disk, a read-only one, a locked database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support import postgres
from tests.support.installation import Installation, alive, installation, script
from tests.support.supervisor import until

RESERVE = 4 << 20


@pytest.fixture
def cramped(disk: Path, tmp_path: Path) -> Iterator[Installation]:
    """An installation whose data directory is on the small disk."""
    with installation(tmp_path, data=disk / "data", settings={"DAIS_DATA_RESERVE_DISK": str(RESERVE)}) as running:
        yield running


COUNT = "i=0; until [ -e /gate/open ]; do echo line $i; i=$((i+1)); sleep 0.05; done; echo end; exit 4"


def test_a_full_disk_refuses_what_is_new_and_goes_on_when_there_is_room(cramped: Installation, disk: Path) -> None:
    folder = cramped.folder("gate")
    job = cramped.submit(*script(COUNT), data=["gate:/gate"])
    cramped.wait_output(job, b"line 3\n")
    filler = _fill(disk)

    def refused() -> bool:  # the write-ahead log may have a little room of its own
        answer = cramped.ask("POST", "/v1/jobs", {"command": ["echo", "x" * 50_000]})
        if answer.status == 201:
            return False
        assert (answer.status, answer.json["code"]) == (503, "disk-full"), answer.body
        assert "disk" in answer.json["detail"]
        assert "free some space" in answer.json["detail"]
        return True

    until(refused, "a submit is refused")
    said = cramped.dais("job", "submit", "--", "echo", "y" * 50_000)
    assert said.returncode == 1
    assert b"free some space" in said.stderr
    pushed = cramped.put(folder, "big", b"x" * 100_000)
    assert (pushed.status, pushed.json["code"]) == (503, "disk-full"), pushed.body
    assert "big" not in _names(cramped, folder), "a half file is seen"
    assert cramped.ask("GET", "/v1/health", token="").status == 200
    assert cramped.client().jobs.get(job.id).state == "RUNNING", "reading works"

    # The server that dies now comes up again only when there is room, and says why not.
    cramped.kill()
    cramped.launch()
    assert cramped.server is not None
    if cramped.server.wait(60) is not None:
        assert cramped.server.returncode == 1
        assert "the disk of" in cramped.said()
    assert cramped.server.stdout is not None
    cramped.server.stdout.close()
    cramped.server = None
    filler.unlink()
    cramped.start()

    assert cramped.run("echo", "room").state == "SUCCEEDED"
    assert cramped.put(folder, "open", b"").status == 200
    ended = cramped.wait(job.id)
    assert (ended.state, ended.exit_code, len(ended.runs)) == ("FAILED", 4, 1)
    assert b"line 3\n" in cramped.output(job.id)
    assert cramped.put(folder, "big", b"x" * 100_000).status == 200
    assert "Traceback" not in cramped.said() + cramped.log()


def test_jobs_that_end_while_the_disk_is_full_are_told_when_there_is_room(cramped: Installation, disk: Path) -> None:
    gate = cramped.folder("gate")
    stop = "until [ -e /gate/open ]; do sleep 0.05; done; echo bye; exit 6"
    jobs = [cramped.submit(*script(stop), data=["gate:/gate"]) for _ in range(3)]
    runs = [cramped.wait_running(job) for job in jobs]
    filler = _fill(disk)
    (cramped.data / "folders" / gate / "open").touch()  # a name without a content takes no room
    until(lambda: not any(map(alive, runs)), "they have ended")
    assert cramped.ask("GET", "/v1/health", token="").status == 200
    filler.unlink()
    for job in jobs:
        ended = cramped.wait(job.id)
        assert (ended.state, ended.reason, ended.exit_code) == ("FAILED", "exit-code", 6)
    cramped.wait_nothing_left(*(cramped.client().jobs.get(job.id) for job in jobs))
    assert "Traceback" not in cramped.said() + cramped.log()


def test_no_job_starts_on_a_nearly_full_disk_until_there_is_room(cramped: Installation, disk: Path) -> None:
    filler = disk / "filler"
    with filler.open("wb") as file:
        info = os.statvfs(disk)
        needed = info.f_blocks * info.f_frsize // 20
        os.posix_fallocate(file.fileno(), 0, info.f_bavail * info.f_frsize - (needed - (300 << 10)))

    def warned() -> list[str]:  # the server answers before it knows its node
        return [told for node in cramped.ask("GET", "/v1/nodes").json["items"] for told in node["warnings"]]

    until(warned, "the node says so")
    job = cramped.submit("true")
    assert any("nearly full" in warning for warning in job.warnings)
    until(lambda: "nearly full" in (cramped.client().jobs.get(job.id).pending_reason or ""), "the job waits for room")
    (node,) = cramped.ask("GET", "/v1/nodes").json["items"]
    assert node["disk_free"] < needed
    assert "free, 2.4 MiB needed" in node["warnings"][0]
    assert cramped.client().jobs.get(job.id).state == "PENDING"
    assert cramped.put(cramped.folder("small"), "x", b"x").status in (200, 503), "the server answers"
    filler.unlink()
    assert cramped.wait(job.id).state == "SUCCEEDED"
    assert cramped.ask("GET", "/v1/nodes").json["items"][0]["warnings"] == []
    assert cramped.is_well()


def test_a_read_only_disk_is_told_and_nothing_is_changed(cramped: Installation, disk: Path) -> None:
    job = cramped.run("echo", "before")
    assert cramped.stop() == 0
    cramped.close()
    _remount(disk, "ro")
    try:
        refused = cramped.dais("up", "--port", "0")
        assert refused.returncode == 1
        assert b"cannot be written (Read-only file system)" in refused.stderr
        assert b"--data-dir" in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
        assert cramped.dais("status").returncode == 3
    finally:
        _remount(disk, "rw")
    cramped.start()
    assert cramped.output(job.id) == b"before\n"
    assert cramped.run("echo", "after").state == "SUCCEEDED"


def test_a_database_that_another_process_has_locked_is_told_and_then_goes_on(own: Installation) -> None:
    job = own.submit(*script("echo started; sleep 1; exit 9"))
    own.wait_output(job, b"started")
    with sqlite3.connect(own.data / "dais.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        answer = own.ask("POST", "/v1/jobs", {"command": ["true"]})
        assert (answer.status, answer.json["code"]) == (503, "database-locked"), answer.body
        assert "locked by another process" in answer.json["detail"]
        assert "retry-after" in answer.headers
        assert own.client().jobs.get(job.id).state == "RUNNING", "reading works"
        other.execute("ROLLBACK")
    other.close()
    ended = own.wait(job.id)
    assert (ended.state, ended.exit_code) == ("FAILED", 9)
    assert own.run("true").state == "SUCCEEDED"
    assert own.is_well()


def test_a_database_server_that_drops_every_connection_is_found_again(
    postgres_cluster: postgres.Cluster, tmp_path: Path
) -> None:
    with postgres_cluster.database() as url, installation(tmp_path, database_url=url) as running:
        job = running.submit(*script("i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.05; done; exit 8"))
        running.wait_output(job, b"line 1\n")
        with psycopg.connect(postgres_cluster.url("postgres"), autocommit=True) as operator:
            name = url.partition("@/")[2].partition("?")[0]
            cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
            found = operator.execute(cut, [name]).fetchone()
            assert found is not None
            assert found[0] > 0
        assert running.run("true").state == "SUCCEEDED"
        assert running.wait(job.id).exit_code == 8
        assert running.output(job.id).endswith(b"line 39\n")
        assert running.is_well()


def _fill(disk: Path) -> Path:
    """Take the last byte of a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def _remount(disk: Path, how: str) -> None:
    result = subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip(f"needs to remount a disk: {result.stderr.strip()}")


def _names(installed: Installation, folder: str) -> list[str]:
    entries = installed.ask("GET", f"/v1/folders/{folder}/entries?recursive=true").json["items"]
    return [entry["path"] for entry in entries]
