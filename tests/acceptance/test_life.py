"""Coming up, going down and coming back: jobs do not notice, and what cannot be is said in one line."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import dais
from tests.support.installation import Installation, script

GATED = "echo started; until [ -e /gate/open ]; do sleep 0.02; done; echo through; exit 3"


def test_down_leaves_jobs_running_and_up_finds_them_again(own: Installation) -> None:
    gate = own.folder("gate")
    job = own.submit(*script(GATED), data=["gate:/gate"])
    own.wait_output(job, b"started")
    supervisor = own.supervisor()

    status = own.dais("status", "--json")
    found = json.loads(status.stdout)
    assert status.returncode == 0
    assert own.server is not None
    assert (found["pid"], found["url"], found["version"]) == (own.pid, own.url, dais.__version__)
    assert found["data_dir"] == str(own.data)

    down = own.dais("down")
    assert down.returncode == 0, down.stderr
    assert own.server.wait(10) == 0
    assert own.server.stdout is not None
    own.server.stdout.close()
    own.server = None
    assert own.dais("status").returncode == 3
    away = own.dais("job", "ls")
    assert away.returncode == 1
    assert b"dais up" in away.stderr, "a client is told what to do when nothing answers"

    (own.data / "folders" / gate / "open").touch()  # it ends while nobody listens
    own.start()
    assert own.supervisor() == supervisor
    ended = own.wait(job.id)
    assert (ended.state, ended.exit_code, len(ended.runs)) == ("FAILED", 3, 1)
    assert own.output(job.id) == b"started\nthrough\n"


def test_up_detached_outlives_its_command_and_its_terminal(tmp_path: Path) -> None:
    made = Installation(tmp_path)
    try:
        up = made.dais("up", "--detach", "--port", "0", "--json")
        assert up.returncode == 0, up.stderr
        started = json.loads(up.stdout)
        again = made.dais("up", "--detach", "--port", "0")
        assert again.returncode == 1
        assert f"pid {started['pid']}".encode() in again.stderr
        assert started["url"].encode() in again.stderr
        run = made.dais("run", "--no-source", "--", "echo", "hello")
        assert (run.returncode, run.stdout) == (0, b"hello\n"), run.stderr
        assert made.dais("down").returncode == 0
        assert json.loads(made.dais("status", "--json").stdout)["state"] == "stopped"
    finally:
        made.close()


def test_down_with_kill_jobs_leaves_nothing(own: Installation) -> None:
    jobs = [own.submit(*script("trap '' TERM; setsid sleep 1000 & sleep 1000")) for _ in range(2)]
    waiting = own.submit("true", cpu=2)
    for job in jobs:
        own.wait_running(job)
    details = [own.client().jobs.get(job.id) for job in jobs]
    down = own.dais("down", "--kill-jobs")
    assert down.returncode == 0, down.stderr
    assert not [left for job in details for left in own.left_of(job) if left.startswith(("process", "mount"))]
    assert own.server is not None
    assert own.server.wait(10) == 0
    assert own.server.stdout is not None
    own.server.stdout.close()
    own.server = None
    own.start()
    states = [own.client().jobs.get(job.id).state for job in (*jobs, waiting)]
    assert states == ["CANCELLED"] * 3
    own.wait_nothing_left(*details)


def test_a_schema_newer_than_the_program_is_refused_and_its_jobs_go_on(own: Installation) -> None:
    gate = own.folder("gate")
    job = own.submit(*script(GATED), data=["gate:/gate"])
    own.wait_output(job, b"started")
    own.stop()
    before = _set_revision(own, "9999_of_a_newer_dais")
    result = own.dais("up", "--port", "0")
    _refused(result.returncode, result.stderr, "9999_of_a_newer_dais", "start that version")
    assert _set_revision(own, before) == "9999_of_a_newer_dais", "nothing was changed"
    own.start()
    (own.data / "folders" / gate / "open").touch()
    assert own.wait(job.id).exit_code == 3


def test_a_stop_while_clients_follow_is_orderly(own: Installation) -> None:
    job = own.submit(*script("while :; do echo tick; sleep 0.05; done"))
    own.wait_output(job, b"tick")
    frames = own.client(patience=1).jobs.logs(job.id, follow=True)
    assert next(iter(frames)).data.startswith("tick")
    assert own.stop() == 0
    own.start()
    assert "tick" in next(iter(frames)).data, "following goes on after an orderly restart, too"
    own.client().jobs.kill(job.id)
    ended = own.wait(job.id)
    assert (ended.state, ended.reason) == ("CANCELLED", "user-request")


def _refused(code: int, said: bytes, *words: str) -> None:
    text = said.decode()
    assert code == 1, text
    assert "Traceback" not in text
    assert len(text.strip().splitlines()) == 1, text
    for word in words:
        assert word in text


def _set_revision(installed: Installation, revision: str) -> str:
    """Write the schema's revision; the one before."""
    with sqlite3.connect(installed.data / "dais.db") as connection:
        (before,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    return str(before)
