"""How a job ended is told apart, and `dais run` says it with its exit code."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import DAIS, PATIENCE, Installation, script
from tests.support.needs import needs_cgroups
from tests.support.supervisor import until

HOG = "x = bytearray(1 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1"


@pytest.mark.parametrize(
    "command, options, code, reason",
    [
        (("true",), (), 0, "completed"),
        (script("echo out; echo err >&2; exit 7"), (), 7, "exit-code"),
        (script("exit 137"), (), 137, "signal"),
        (script("kill -9 $$"), (), 137, "signal"),
        (script("kill -15 $$"), (), 143, "signal"),
        (("no-such-command",), (), 127, "command-not-found"),
        (("/etc/hostname",), (), 127, "command-not-found"),
        (("sleep", "1000"), ("--max-run-time", "1"), 124, "time-limit"),
        (script("trap '' TERM; sleep 1000 & wait; sleep 1000"), ("--max-run-time", "1"), 124, "time-limit"),
        (("true",), ("--workdir", "/usr/there/is/none"), 125, "launch-failed"),
    ],
)
def test_run_says_how_it_ended(
    shared: Installation, command: tuple[str, ...], options: tuple[str, ...], code: int, reason: str
) -> None:
    run = shared.dais("run", "--no-source", *options, "--", *command)
    assert run.returncode == code, run.stderr
    job = _last(shared)
    assert job["reason"] == reason
    assert job["state"] == ("SUCCEEDED" if code == 0 else "FAILED")
    if reason not in ("completed", "exit-code"):
        assert reason.encode() in run.stderr
    if reason == "exit-code":
        assert (run.stdout, b"err\n" in run.stderr) == (b"out\n", True)


def test_out_of_memory_is_told_apart(shared: Installation) -> None:
    needs_cgroups("memory")
    run = shared.dais("run", "--no-source", "--mem", "100Mi", "--", "python3", "-c", HOG)
    assert run.returncode == 137
    assert b"out-of-memory" in run.stderr
    job = _last(shared)
    assert (job["state"], job["reason"], job["exit_code"]) == ("FAILED", "out-of-memory", None)
    assert str(100 << 20) in job["detail"]
    child = shared.dais("run", "--no-source", "--mem", "100Mi", "--", *script(f"python3 -c '{HOG}' || exit 3"))
    assert (child.returncode, _last(shared)["reason"]) == (3, "out-of-memory"), "the code is the job's own"


def test_a_killed_job_is_cancelled_and_whoever_followed_is_told(shared: Installation) -> None:
    with _start(shared, "run", "--no-source", "--", *script("echo started; sleep 1000")) as process:
        assert _line(process) == b"started\n"
        killed = shared.dais("job", "kill", "--last")
        assert killed.returncode == 0, killed.stderr
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert b"CANCELLED" in said
    job = _last(shared)
    assert (job["state"], job["reason"]) == ("CANCELLED", "user-request")


def test_requirements_that_cannot_be_are_named(shared: Installation, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("./there-is-no-such-project\n")
    run = shared.dais("run", "--", "true", cwd=tmp_path)
    assert run.returncode == 1, run.stderr
    assert b"there-is-no-such-project" in run.stderr
    assert _last(shared)["reason"] == "bad-requirements"


def test_a_server_that_is_not_there_is_a_failure_of_the_platform(shared: Installation) -> None:
    run = shared.dais("run", "--no-source", "--", "true", DAIS_URL="http://127.0.0.1:9", DAIS_TOKEN="x")
    assert run.returncode == 125
    assert b"127.0.0.1:9" in run.stderr


def test_a_spec_that_is_refused_is_no_exit_code_of_a_job(shared: Installation) -> None:
    assert shared.dais("run", "--no-source", "--gpu", "64", "--", "true").returncode == 125
    assert shared.dais("run", "--no-source", "--gpu", "some", "--", "true").returncode == 2


def test_control_c_detaches_and_the_job_goes_on(shared: Installation) -> None:
    folder = shared.folder("detached")
    wait = "echo started; until [ -e /f/open ]; do sleep 0.02; done; exit 5"
    with _start(shared, "run", "--no-source", "-d", "detached:/f", "--", *script(wait)) as process:
        assert _line(process) == b"started\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"goes on" in said
    assert b"dais job logs -f" in said
    assert b"Traceback" not in said
    job = _last(shared)
    assert job["state"] == "RUNNING"
    assert shared.put(folder, "open", b"").status == 200
    waited = shared.dais("job", "wait", job["id"])
    assert waited.returncode == 5, "`job wait` exits with the job's code, too"


def test_control_c_twice_kills(shared: Installation) -> None:
    with _start(shared, "run", "--no-source", "--", *script("echo started; sleep 1000")) as process:
        assert _line(process) == b"started\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = b""
        while b"Ctrl-C again kills it" not in said:
            part = os.read(process.stderr.fileno(), 4096)
            assert part, said
            said += part
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode in (130, 143)
    assert _last(shared)["state"] == "CANCELLED"


def test_what_a_job_prints_comes_at_once_and_exactly(shared: Installation) -> None:
    """On a terminal, too: nothing of Dais's own goes to stdout."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*DAIS, "run", "--no-source", "--", *script("printf 'no newline'; sleep 1000")],
        env=shared.environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    try:
        said = b""
        until_at = time.monotonic() + PATIENCE
        while said != b"no newline":
            assert select.select([ours], [], [], until_at - time.monotonic())[0], said
            said += os.read(ours, 1024)
            assert b"no newline".startswith(said)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    job = _last(shared)
    shared.client().jobs.kill(job["id"])
    until(lambda: _last(shared)["state"] == "CANCELLED", "it is cancelled")


def _last(installed: Installation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(installed.dais("job", "info", "--last", "--json").stdout)
    return found


def _start(installed: Installation, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*DAIS, *arguments],
        env=installed.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
    assert ready, "nothing came"
    return process.stdout.readline()


def test_run_prints_the_job_as_data_and_its_output_aside(shared: Installation) -> None:
    done = shared.dais(
        "run", "--no-source", "--json", "--cpu", "0.1", "--mem", "100Mi", "--", "sh", "-c", "echo said; exit 130"
    )
    job = json.loads(done.stdout)
    assert (done.returncode, job["state"], job["exit_code"]) == (130, "FAILED", 130)
    assert b"said" in done.stderr
