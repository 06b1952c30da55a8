"""Backups made while everything runs, and installations made of them."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import DAIS, Installation, installation, script
from tests.support.supervisor import until

pytestmark = pytest.mark.slow

SOON = {"DAIS_COMPUTE_STOP_GRACE": "1"}
TALK = "echo begun; until [ -e /gate/open ]; do sleep 0.05; done; echo end"


@pytest.fixture(params=["sqlite", "postgresql"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """An installation on each kind of database in turn."""
    if request.param == "sqlite":
        with installation(tmp_path / "source", settings=SOON) as running:
            yield running
        return
    cluster = request.getfixturevalue("postgres_cluster")
    with cluster.database() as url, installation(tmp_path / "source", database_url=url, settings=SOON) as running:
        yield running


@contextmanager
def restored(
    source: Installation, backup: Path, directory: Path, database_url: str = "", *options: str
) -> Iterator[Installation]:
    """An installation made of a backup, up beside the one that was copied; the same token opens it."""
    made = Installation(directory, database_url=database_url, settings=SOON)
    done = source.dais(
        "restore",
        str(backup),
        "--data-dir",
        str(made.data),
        *options,
        DAIS_DATABASE_URL=database_url or "sqlite:///" + str(made.data / "dais.db"),
    )
    assert done.returncode == 0, done.stderr.decode()
    made.config = source.config
    try:
        made.start()
        yield made
    finally:
        made.close()


def document(done: subprocess.CompletedProcess[bytes]) -> Any:
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def objects(backup: Path) -> list[Path]:
    return [path for path in (backup / "objects").rglob("*") if path.is_file() and path.name != ".lock"]


def test_what_is_backed_up_while_it_runs_is_there_after_the_restore(
    source: Installation, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    gate = source.folder("gate")
    folder = source.folder("files")
    assert source.put(folder, "deep/größe\n.txt", b"content").status < 300
    place = source.data / "folders" / folder
    (place / "deep" / "program").write_bytes(b"#!/bin/sh\n")
    (place / "deep" / "program").chmod(0o750)
    (place / "link").symlink_to("deep/program")
    (place / "empty").mkdir(mode=0o700)
    os.mkfifo(place / "pipe")
    assert source.dais("secret", "set", "WORD", stdin=b"mellon").returncode == 0
    done = source.run("echo", "all of it")
    running = source.submit(*script(TALK), data=["gate:/gate"])
    again = source.submit(*script(TALK), data=["gate:/gate"], restartable=True)
    source.wait_output(running, b"begun\n")
    source.wait_output(again, b"begun\n")
    waiting = source.submit("true", cpu=os.cpu_count())  # before the restartable one in the queue: so after its start

    backup = tmp_path / "backup"
    settings: Any = {"DAIS_DATABASE_URL": source.database_url} if source.database_url else {}
    if settings:
        assert b"the running server uses postgresql" in source.dais("backup", str(backup)).stderr
    (source.data / "nodes-ca.pem").write_text("a certificate")  # its key is of no use without
    made = document(source.dais("backup", str(backup), "--json", **settings))
    assert made["secrets"] == ["secrets.key"]
    assert [note for note in made["notes"] if "pipe" in note]
    assert document(source.dais("backup", str(backup), "--verify", "--json"))["damaged"] == []
    for path in backup.rglob("*"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077 or "objects" in path.parts, path
    later = source.submit("true")

    with ExitStack() as held:
        url = ""
        if source.database_url:
            url = held.enter_context(request.getfixturevalue("postgres_cluster").database())
        copy = held.enter_context(restored(source, backup, tmp_path / "copy", url))
        place = copy.data / "folders" / folder
        assert (place / "deep" / "größe\n.txt").read_bytes() == b"content"
        assert stat.S_IMODE((place / "deep" / "program").stat().st_mode) == 0o750
        assert (place / "link").readlink() == Path("deep/program")
        assert stat.S_IMODE((place / "empty").stat().st_mode) == 0o700
        assert (copy.data / "secrets.key").read_bytes() == (source.data / "secrets.key").read_bytes()
        assert (copy.data / "nodes-ca.pem").read_text() == "a certificate"
        assert stat.S_IMODE((copy.data / "secrets.key").stat().st_mode) == 0o600
        assert copy.output(done.id) == source.output(done.id)
        lost = copy.wait(running.id)
        assert (lost.state, lost.reason) == ("FAILED", "node-lost")
        assert copy.output(running.id) == b"begun\n"
        until(lambda: len(copy.client().jobs.get(again.id).runs) == 2, "the restartable job runs again")
        assert copy.client().jobs.get(again.id).runs[0].reason == "node-lost"
        assert copy.ask("GET", f"/v1/jobs/{later.id}").status == 404
        (copy.data / "folders" / gate / "open").touch()
        assert copy.wait(waiting.id).state == "SUCCEEDED"
        fresh = copy.run(*script("test $WORD = mellon && echo new"), secrets=["WORD"])
        assert fresh.number > waiting.number
        assert copy.output(fresh.id) == b"new\n"
        assert copy.is_well()
    assert source.client().jobs.get(running.id).state == "RUNNING"  # the one that was copied never noticed


def test_only_what_changed_is_copied_again_and_old_snapshots_can_go(own: Installation, tmp_path: Path) -> None:
    folder = own.folder("files")
    own.put(folder, "a", b"a" * 100_000)
    own.run("echo", "logged")
    backup = tmp_path / "backup"

    def make(*options: str) -> Any:
        return document(own.dais("backup", str(backup), "--json", *options))

    first = make()
    until(lambda: make()["copied"] == 0, "nothing has to be read again")
    before = len(objects(backup))
    own.put(folder, "b", b"b" * 100_000)
    last = make("--keep", "1")
    assert last["copied"] == 1
    assert last["files"] == first["files"] + 1
    assert first["name"] in last["removed"]
    assert len(objects(backup)) == before + 1
    listed = document(own.dais("backup", str(backup), "--list", "--json"))
    assert [one["name"] for one in listed] == [last["name"]]


def test_waiting_jobs_can_be_cancelled_so_that_nothing_runs_twice(own: Installation, tmp_path: Path) -> None:
    own.folder("gate")
    own.submit(*script(TALK), data=["gate:/gate"], cpu=os.cpu_count())
    waiting = own.submit("true", cpu=os.cpu_count())
    document(own.dais("backup", str(tmp_path / "backup"), "--json"))
    with restored(own, tmp_path / "backup", tmp_path / "copy", "", "--cancel-waiting") as copy:
        assert copy.client().jobs.get(waiting.id).state == "CANCELLED"


def test_a_backup_that_is_killed_is_no_backup_and_the_next_one_is(own: Installation, tmp_path: Path) -> None:
    folder = own.folder("files")
    (own.data / "folders" / folder / "large").write_bytes(os.urandom(64 << 20))
    backup = tmp_path / "backup"
    killed = subprocess.Popen([*DAIS, "backup", str(backup)], env=own.environment, stderr=subprocess.DEVNULL)
    until(lambda: any((backup / "objects" / ".new").glob("*")), "the large file is being copied")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert document(own.dais("backup", str(backup), "--list", "--json")) == []
    refused = own.dais("restore", str(backup), "--data-dir", str(tmp_path / "copy"))
    assert refused.returncode == 1
    assert b"1 was interrupted" in refused.stderr
    document(own.dais("backup", str(backup), "--json"))
    found = document(own.dais("backup", str(backup), "--verify", "--json"))
    assert (found["interrupted"], found["damaged"]) == ([], [])


def test_a_restore_that_is_killed_is_refused_by_up_and_begins_anew(own: Installation, tmp_path: Path) -> None:
    folder = own.folder("files")
    (own.data / "folders" / folder / "large").write_bytes(os.urandom(64 << 20))
    backup, copy = tmp_path / "backup", Installation(tmp_path / "copy")
    document(own.dais("backup", str(backup), "--json"))
    command = [*DAIS, "restore", str(backup), "--data-dir", str(copy.data)]
    killed = subprocess.Popen(command, env=own.environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until(lambda: any(copy.data.glob(".restoring/folders/*/large")), "the large file is coming back")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (copy.data / "dais.db").exists()
    refused = copy.dais("up", "--port", "0")
    assert refused.returncode == 1
    assert b"was interrupted; say `dais restore` again" in refused.stderr
    with restored(own, backup, tmp_path / "copy") as again:
        assert (again.data / "folders" / folder / "large").stat().st_size == 64 << 20


def test_a_damaged_content_is_named_and_the_next_backup_mends_it(own: Installation, tmp_path: Path) -> None:
    folder = own.folder("files")
    own.put(folder, "some/file", b"precious" * 1_000)
    backup, copy = tmp_path / "backup", tmp_path / "copy"
    document(own.dais("backup", str(backup), "--json"))
    victim = next(path for path in objects(backup) if path.read_bytes().startswith(b"precious"))
    victim.chmod(0o600)
    with victim.open("r+b") as file:
        file.write(b"P")
    refused = own.dais("restore", str(backup), "--data-dir", str(copy))
    assert refused.returncode == 1
    assert b"some/file" in refused.stderr
    assert b"damaged" in refused.stderr
    assert not (copy / "dais.db").exists()
    assert not (copy / ".restoring").exists()
    found = own.dais("backup", str(backup), "--verify", "--json")
    assert found.returncode == 1
    assert ["some/file" in line for line in json.loads(found.stdout)["damaged"]] == [True]
    document(own.dais("backup", str(backup), "--json"))
    assert document(own.dais("backup", str(backup), "--verify", "--json"))["damaged"] == []
    database = next((backup / "snapshots").glob("*/dais.db"))
    with database.open("r+b") as file:
        file.seek(5_000)
        file.write(b"\xff" * 100)
    refused = own.dais("restore", str(backup), "--data-dir", str(copy), "--at", database.parent.name)
    assert b"dais.db is damaged" in refused.stderr


def test_full_disks_are_told_and_nothing_half_done_is_left(own: Installation, disk: Path, tmp_path: Path) -> None:
    folder = own.folder("files")
    large = own.data / "folders" / folder / "large"
    large.write_bytes(os.urandom(64 << 20))
    refused = own.dais("backup", str(disk / "backup"))
    assert refused.returncode == 1
    assert b"is full" in refused.stderr
    document(own.dais("backup", str(tmp_path / "backup"), "--json"))
    refused = own.dais("restore", str(tmp_path / "backup"), "--data-dir", str(disk / "copy"))
    assert refused.returncode == 1
    assert b"make room" in refused.stderr
    large.write_bytes(b"small now")
    document(own.dais("backup", str(disk / "backup"), "--json"))
    assert document(own.dais("backup", str(disk / "backup"), "--verify", "--json"))["damaged"] == []


def test_nothing_is_overwritten_unasked(own: Installation, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    inside = own.dais("backup", str(own.data / "backup"))
    assert b"within each other" in inside.stderr
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thing").touch()
    assert b"no backup of Dais" in own.dais("backup", str(tmp_path / "other")).stderr
    made = document(own.dais("backup", str(backup), "--json"))
    running = own.dais("restore", str(backup), "--force")
    assert running.returncode == 1
    assert b"stop it first" in running.stderr
    own.stop()
    assert b"is not empty" in own.dais("restore", str(backup)).stderr
    until(lambda: not (own.node / "supervisor.sock").exists(), "the supervisor has ended")
    done = document(own.dais("restore", str(backup), "--force", "--json"))
    assert (Path(done["replaced"]) / "dais.db").is_file()
    own.start()
    assert own.is_well()
    manifest = backup / "snapshots" / made["name"] / "manifest.json"
    manifest.write_text(manifest.read_text().replace(made["schema"], "9999"))
    newer = own.dais("restore", str(backup), "--data-dir", str(tmp_path / "copy"))
    assert b"schema 9999" in newer.stderr
