"""When a job has ended nothing of it is left: no process, mount, control group, staged directory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.installation import Installation, alive, mounts, script

DAEMON = "(setsid sh -c 'trap \"\" TERM HUP; exec sleep 1000' </dev/null >/dev/null 2>&1 &) ; "
FORKED_TWICE = (
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork() == 0:\n"
    "        os.environ.clear(); time.sleep(1000)\n"
    "    os._exit(0)\n"
    "os.wait()\n"
    "print('forked', flush=True)\n"
)


@pytest.mark.parametrize(
    "command, state",
    [
        (script("echo normal"), "SUCCEEDED"),
        (script(DAEMON + "echo daemon; exit 3"), "FAILED"),
        (("python3", "-c", FORKED_TWICE), "SUCCEEDED"),
        (script("mkdir -p /tmp/x /home/work/y && mkfifo /home/work/pipe && chmod 000 /home/work/y; exit 4"), "FAILED"),
        (script("kill -9 $$"), "FAILED"),
    ],
)
def test_of_a_job_that_ends_by_itself(shared: Installation, command: tuple[str, ...], state: str) -> None:
    job = shared.run(*command)
    assert job.state == state
    run = job.runs[-1].id
    assert not alive(run), "processes outlive the job's final state"
    shared.wait_nothing_left(job)


@pytest.mark.parametrize("pty", [False, True])
def test_of_a_job_that_ignores_every_wish_and_is_killed(shared: Installation, pty: bool) -> None:
    job = shared.submit(*script("trap '' TERM INT HUP; " + DAEMON + "echo ready; while :; do sleep 1; done"), pty=pty)
    shared.wait_output(job, b"ready")
    shared.client().jobs.kill(job.id)
    ended = shared.wait(job.id)
    assert (ended.state, ended.reason) == ("CANCELLED", "user-request")
    assert not alive(ended.runs[-1].id)
    shared.wait_nothing_left(ended)


def test_of_a_job_with_folders_and_source_and_commands_inside(shared: Installation, tmp_path: Path) -> None:
    folder = shared.folder("kept")
    (tmp_path / "main.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(1000)\n")
    run = shared.dais(
        *("run", "--detach", "--field", "id", "-d", "kept:/kept", "-d", "kept:/look:ro", "--", "python3", "main.py"),
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    job = shared.client().jobs.get(run.stdout.decode().strip())
    shared.wait_output(job, b"ready")
    inside = shared.dais("job", "exec", job.id, "--", "sh", "-c", "echo written > /kept/file; cat /look/file")
    assert (inside.returncode, inside.stdout) == (0, b"written\n"), inside.stderr
    refused = shared.dais("job", "exec", job.id, "--", "sh", "-c", "echo no > /look/file")
    assert refused.returncode != 0
    with subprocess.Popen(
        ["sh", "-c", 'exec "$@"', "sh", "true"], env=os.environ | shared.environment, stdin=subprocess.DEVNULL
    ):
        pass
    shared.client().jobs.kill(job.id)
    ended = shared.wait(job.id)
    assert ended.state == "CANCELLED"
    shared.wait_nothing_left(ended)
    assert shared.get(folder, "file") == b"written\n", "what was written into a folder stays"
    assert not [line for line in mounts() if str(shared.data) in line]


def test_of_a_job_that_never_began(shared: Installation, tmp_path: Path) -> None:
    blocker = shared.submit(*script("echo ready; sleep 1000"), cpu=2)
    shared.wait_output(blocker, b"ready")
    (tmp_path / "file").write_text("x")
    run = shared.dais("run", "--detach", "--field", "id", "--", "true", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    waiting = shared.client().jobs.get(run.stdout.decode().strip())
    assert waiting.state == "PENDING"
    assert waiting.pending_reason
    assert waiting.place == 0
    killed = shared.client().jobs.kill(waiting.id)
    assert (killed.state, killed.runs) == ("CANCELLED", [])
    shared.client().jobs.kill(blocker.id)
    shared.wait_nothing_left(shared.wait(blocker.id), killed)
    assert not list((shared.data / "jobs").glob("[!.]*"))
