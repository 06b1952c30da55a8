"""Environments of jobs: built once per content, and built to their end whatever is killed meanwhile.

Nothing is fetched from afar: the builder finds a small package in a directory, or is given it when the test says so.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import PATIENCE, Installation, installation
from tests.support.needs import needs_bwrap
from tests.support.roots import python_root

NAME = "dais_acceptance_thing"
PROGRAM = f"import {NAME}, sys\nprint({NAME}.VALUE, sys.prefix)\n"


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A directory with one wheel, version 1.0 of a package that exists nowhere else."""
    place = tmp_path / "packages"
    place.mkdir()
    tmp_path.chmod(0o755)
    info = f"{NAME}-1.0.dist-info"
    files = {
        f"{NAME}/__init__.py": "VALUE = 'found'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files |= {f"{NAME}/part{number}.py": f"NUMBER = {number}\n" for number in range(300)}  # so that it takes a while
    record = ""
    with zipfile.ZipFile(place / f"{NAME}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(text)}\n"
            wheel.writestr(path, text)
        wheel.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return place


@pytest.fixture
def offline(tmp_path: Path, packages: Path) -> Iterator[Installation]:
    """An installation whose builder asks no index."""
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packages), "UV_NO_INDEX": "1"}
    settings |= {"UV_FIND_LINKS": str(packages)}
    with installation(tmp_path / "home", settings=settings) as running:
        yield running


@dataclass
class Gate:
    """A package index that gives nothing away until it is told to."""

    url: str
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def gate(packages: Path) -> Iterator[Gate]:
    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(".whl"):
                made.reached.set()
                made.opened.wait(PATIENCE)
            with contextlib.suppress(OSError):  # who asked may have been killed meanwhile
                super().do_GET()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the parent's word)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(packages)))
    made = Gate(f"http://127.0.0.1:{server.server_port}/")
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield made
    made.opened.set()
    server.shutdown()
    serving.join()
    server.server_close()


@pytest.fixture
def gated(tmp_path: Path, gate: Gate) -> Iterator[Installation]:
    """An installation whose builder waits at the gate."""
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": gate.url, "UV_NO_INDEX": "1", "UV_FIND_LINKS": gate.url}
    with installation(tmp_path / "home", settings=settings) as running:
        yield running


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A program with requirements."""
    place = tmp_path / "source"
    place.mkdir()
    (place / "main.py").write_text(PROGRAM)
    (place / "requirements.txt").write_text(f"# what it needs\n{NAME} == 1.0\n")
    return place


def test_it_is_built_once_and_shared(offline: Installation, source: Path) -> None:
    jobs = [_submit(offline, source) for _ in range(3)]
    for job_id in jobs:
        ended = offline.wait(job_id)
        assert ended.state == "SUCCEEDED", ended.detail
        assert offline.output(job_id).splitlines()[-1].startswith(b"found ")
    (environment,) = _environments(offline)
    assert environment["state"] == "READY"
    writing = f"import {NAME}, pathlib; pathlib.Path({NAME}.__file__).write_text('')"
    (source / "main.py").write_text(writing)
    assert offline.wait(_submit(offline, source)).state == "FAILED", "a job has written into what others use"
    assert len(_environments(offline)) == 1, "its content is the requirements', not the source's"


def test_one_that_cannot_be_built_fails_the_job_with_the_builder_s_words(offline: Installation, source: Path) -> None:
    (source / "requirements.txt").write_text(f"{NAME} == 2.0\n")
    run = offline.dais("run", "--", "python", "main.py", cwd=source)
    assert run.returncode == 1
    said = (run.stdout + run.stderr).decode()
    assert "environment-failed" in said
    assert f"{NAME}==2.0" in said.replace(" ", "")
    (source / "requirements.txt").write_text(f"{NAME} == 1.0\n")
    assert offline.wait(_submit(offline, source)).state == "SUCCEEDED"


@pytest.mark.parametrize(
    "killed",
    [pytest.param("server", marks=pytest.mark.slow), pytest.param("supervisor", marks=pytest.mark.slow), "both"],
)
def test_a_kill_in_the_midst_of_a_build_fails_no_job(
    gated: Installation, gate: Gate, source: Path, killed: str
) -> None:
    jobs = [_submit(gated, source) for _ in range(2)]
    assert gate.reached.wait(PATIENCE), "the builder is at work"
    assert [one["state"] for one in _environments(gated)] == ["BUILDING"]
    if killed != "server":
        gated.kill_supervisor()
    if killed != "supervisor":
        gated.kill()
        gated.start()
    gate.opened.set()
    for job_id in jobs:
        ended = gated.wait(job_id)
        assert (ended.state, len(ended.runs)) == ("SUCCEEDED", 1), ended.detail
    (environment,) = _environments(gated)
    assert environment["state"] == "READY"
    gated.wait_nothing_left(*map(gated.client().jobs.get, jobs))


def test_an_image_s_own_python_gets_its_own_environment(offline: Installation, source: Path, tmp_path: Path) -> None:
    needs_bwrap()
    root = python_root(tmp_path / "image")
    assert offline.dais("image", "add", "small", str(root)).returncode == 0
    (source / "main.py").write_text(f"{PROGRAM}import os; print(os.path.exists('/bin/busybox'))\n")
    for _ in range(2):
        run = offline.dais("run", "--image", "small", "--", "python", "main.py", cwd=source)
        assert run.returncode == 0, run.stdout + run.stderr
        assert run.stdout.splitlines()[-2:] == [b"found /opt/dais/env", b"True"]
    assert offline.wait(_submit(offline, source)).state == "SUCCEEDED"
    of_image, of_host = sorted(_environments(offline), key=lambda one: "image" not in one["interpreter"])
    assert "of image small" in of_image["interpreter"]
    assert of_host["interpreter"].startswith("/")
    assert of_image["id"] != of_host["id"]


def _submit(installed: Installation, source: Path) -> str:
    run = installed.dais("run", "--detach", "--cpu", "0.5", "--field", "id", "--", "python", "main.py", cwd=source)
    assert run.returncode == 0, run.stderr
    return run.stdout.decode().strip()


def _environments(installed: Installation) -> list[dict[str, Any]]:
    answer = installed.ask("GET", "/v1/environments")
    assert answer.status == 200, answer.body
    found: list[dict[str, Any]] = answer.json["items"]
    return found
