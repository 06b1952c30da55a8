"""Jobs on Slurm through a resource group of Dais, beside a loop of sbatch; and what they cost Slurm's controller."""

from __future__ import annotations

import json
import shutil
import time
from functools import partial
from pathlib import Path

import pytest

from bench.harness import Aim, Bench, Row, main, ratios
from bench.load import request, send_all
from bench.server import PATIENCE, dais
from tests.support.installation import Installation
from tests.support.needs import UNPRIVILEGED
from tests.support.slurm import Cluster, slurm_cluster

COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "sacct")
SECONDS = 1.0
"""How long each job sleeps: as short as a job on a cluster may sensibly be."""
FULL_SECONDS, FULL_CPU = 3.0, 8
"""The same where the cluster is full: of four nodes with sixteen cores each, eight such jobs take all."""


def run(bench: Bench) -> None:
    try:
        with slurm_cluster() as cluster, dais(isolation="auto", DAIS_LOCAL_DATA_UID=str(UNPRIVILEGED)) as server:
            measure(bench, cluster, server)
    except pytest.skip.Exception as lacking:
        bench.absent("Slurm", str(lacking))


def measure(bench: Bench, cluster: Cluster, server: Installation) -> None:
    counted = Counted(cluster)
    attached = server.dais(
        "attach", "slurm", "--name", "cluster", "-o", f"conf={cluster.conf}", "-o", f"bin={counted.place}"
    )
    assert attached.returncode == 0, attached.stdout + attached.stderr
    count = bench.pick(100, 30)
    through_dais(server, 10)  # what nodes can do is found once
    jobs = bench.interleave({"dais": partial(through_dais, server, count), "sbatch": partial(plain, cluster, count)})
    with counted:
        through_dais(server, count)
    calls = counted.calls() / count
    few = bench.pick(48, 24)
    full = bench.interleave({
        "dais": partial(through_dais, server, few, FULL_SECONDS, FULL_CPU),
        "sbatch": partial(plain, cluster, few, FULL_SECONDS, FULL_CPU),
    })  # fmt: skip
    bench.report(
        Row(
            figure=f"{count} jobs of {SECONDS:g} s on Slurm through a group of Dais, submit to end",
            ours=jobs["dais"],
            unit="jobs/s",
            peer="a loop of sbatch, the same jobs",
            theirs=jobs["sbatch"],
            ratios=ratios(jobs["dais"], jobs["sbatch"]),
            aim=Aim(number="", must=0.9, should=1),
        ),
        Row(
            figure="calls of Slurm's commands for each of these jobs",
            ours=[calls],
            unit="calls",
            aim=Aim(number="", must=2, should=1.5, at_most=True),
        ),
        Row(
            figure=f"{few} jobs of {FULL_SECONDS:g} s on a Slurm that eight of them fill, submit to end",
            ours=full["dais"],
            unit="jobs/s",
            peer="a loop of sbatch, the same jobs",
            theirs=full["sbatch"],
            ratios=ratios(full["dais"], full["sbatch"]),
            aim=Aim(number="", must=0.9, should=1),
        ),
    )


class Counted:
    """Slurm's commands in a directory of their own, each leaving a mark when it is called inside a `with` block.

    Outside they are Slurm's own: a shell for each would be measured on one side only.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.place = cluster.place / "counted"
        self.place.mkdir()
        self._marks = cluster.place / "marks"
        self._marks.touch()
        self._marks.chmod(0o666)
        self.__exit__()

    def __enter__(self) -> None:
        for name in COMMANDS:
            wrapper = self.place / f".{name}"
            wrapper.write_text(f'#!/bin/sh\necho {name} >> {self._marks}\nexec {shutil.which(name)} "$@"\n')
            wrapper.chmod(0o755)
            wrapper.replace(self.place / name)

    def __exit__(self, *_: object) -> None:
        for name in COMMANDS:
            link = self.place / f".{name}"
            link.symlink_to(shutil.which(name) or name)
            link.replace(self.place / name)

    def calls(self) -> int:
        return len(Path(self._marks).read_text().splitlines())


def through_dais(server: Installation, count: int, seconds: float = SECONDS, cpu: int = 1) -> float:
    """Jobs a second, from the first submit until the last is told as ended."""
    body = json.dumps(
        {"command": ["sleep", f"{seconds:g}"], "group": "cluster", "resources": {"cpu": cpu, "mem": 64 << 20}}
    ).encode()
    begun = time.monotonic()
    send_all(server.port, [request("POST", "/v1/jobs", token=server.token, body=body)] * count)
    while _some(server, "alive"):
        assert time.monotonic() - begun < PATIENCE, f"{count} jobs did not end within {PATIENCE:g} s"
        time.sleep(0.05)
    assert not _some(server, "FAILED")
    return count / (time.monotonic() - begun)


def plain(cluster: Cluster, count: int, seconds: float = SECONDS, cpu: int = 1) -> float:
    """The same by sbatch, one after the other, until the queue is empty."""
    begun = time.monotonic()
    words = ("--parsable", "--mem=128M", f"--cpus-per-task={cpu}", "--chdir=/", "--output=/dev/null")
    for _ in range(count):
        cluster.run("sbatch", *words, f"--wrap=sleep {seconds:g}")
    while cluster.run("squeue", "--noheader", "--format=%i"):
        time.sleep(0.05)
    return count / (time.monotonic() - begun)


def _some(server: Installation, state: str) -> list[object]:
    (body,) = send_all(server.port, [request("GET", f"/v1/jobs?state={state}&limit=1", token=server.token)])
    found: list[object] = json.loads(body)["items"]
    return found


if __name__ == "__main__":
    main(run)
