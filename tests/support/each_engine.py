"""Installations whose jobs run on each kind of engine, for tests of working inside jobs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dais.wire.answers import JobDetail
from tests.support.installation import Installation, installation
from tests.support.needs import UNPRIVILEGED
from tests.support.places import open_place
from tests.support.reaching import APP
from tests.support.roots import archive, glibc_root, python_root

if TYPE_CHECKING:
    from tests.support.containers import Daemons
    from tests.support.slurm import Cluster

ENGINES = ["local", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("docker", "podman", "slurm"))]
BOARD = 6006
"""The port of an app that the image with Python brings along."""
_board = {"command": ["{runtime_path}", "-m", "http.server", "--bind", "127.0.0.1", "{ports[0]}"]}


@dataclass(frozen=True)
class Site:
    """An installation, and the group whose engine is looked at."""

    dais: Installation
    kind: str
    group: str
    images: tuple[str | None, ...] = (None,)
    """What its jobs can start from; the first has a Python of its own."""

    def submit(self, *command: str, image: str | None = None, **fields: object) -> JobDetail:
        """A job of the group, from the image with Python unless told."""
        asked = {"group": self.group, "image": image or self.images[0], "cpu": 1, "mem": "256Mi"}
        return self.dais.submit(*command, **(asked | fields))

    def app(self, name: str) -> JobDetail:
        """A job whose app listens on port 8080 already."""
        job = self.submit("python3", "-c", APP, "8080", name=name)
        self.dais.wait_running(job)  # on some engines its log is seen before
        self.dais.wait_output(job, b"listens")
        return job


def open_site(request: pytest.FixtureRequest, kind: str) -> contextlib.AbstractContextManager[Site]:
    """An installation with an engine of this kind; skips where the machine has none."""
    if kind == "slurm":
        return _on_slurm(request.getfixturevalue("slurm"))
    if kind in ("docker", "podman"):
        return _on_containers(request.getfixturevalue("daemons"), kind)
    return _here()


def _running() -> contextlib.AbstractContextManager[Installation]:
    settings = {
        "DAIS_SSH_PORT": "0",
        "DAIS_COMPUTE_STOP_GRACE": "1",
        "DAIS_LOCAL_DATA_UID": str(UNPRIVILEGED),  # as root its server is a user whom Slurm's nodes know
    }
    return installation(settings=settings)


@contextlib.contextmanager
def _here() -> Iterator[Site]:
    with _running() as dais:
        yield Site(dais, "local", "default")


@contextlib.contextmanager
def _on_slurm(cluster: Cluster) -> Iterator[Site]:
    with _running() as dais:
        options = ("-o", f"conf={cluster.conf}", "-o", "interval=0.5", "-o", "settle=1")
        attached(dais, "slurm", "--name", "cluster", *options)
        yield Site(dais, "slurm", "cluster")
        end_jobs(dais)


@contextlib.contextmanager
def _on_containers(daemons: Daemons, kind: str) -> Iterator[Site]:
    from tests.support.containers import IMAGE

    daemon = daemons.get(kind)
    for path in (daemon.directory, daemon.socket):  # as if the server's user were in the group of the socket
        path.chmod(0o777)
    with open_place() as place:
        python = python_root(place / "python")
        with_board(python)
        labels = {"ai.backend.service-ports": f"board:http:{BOARD}", "ai.backend.runtime-path": "/usr/bin/python3"}
        daemon.load_image(archive(python), "python:latest", labels)
        daemon.load_image(archive(glibc_root(place / "glibc")), "glibc:latest")
    with _running() as dais:
        attached(dais, kind, "--socket", str(daemon.socket), "--default-image", "python:latest")
        yield Site(dais, kind, kind, ("python:latest", "glibc:latest", IMAGE))
        end_jobs(dais)
        assert dais.dais("detach", kind).returncode == 0


def with_board(root: Path) -> None:
    """Let the image say how its app `board` is started."""
    place = root / "etc/backend.ai/service-defs"
    place.mkdir(parents=True)
    (place / "board.json").write_text(json.dumps(_board))


def attached(dais: Installation, *words: str) -> None:
    """Attach an engine."""
    done = dais.dais("attach", *words, "--json")
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def end_jobs(dais: Installation) -> None:
    """End what runs yet: other engines than the machine's own do not end with the installation."""
    client = dais.client()
    alive = [job.id for job in client.jobs.list(state=["alive"])]
    for job in alive:
        client.jobs.kill(job)
    for job in alive:
        dais.wait(job)
