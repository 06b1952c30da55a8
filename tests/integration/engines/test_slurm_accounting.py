"""What Slurm's controller has forgotten is looked up in its accounting: a real slurmdbd on a real MariaDB."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dais.engines.contract import Phase
from dais.engines.slurm.asking import ask
from tests.support.engines import watching
from tests.support.slurm import Cluster, until
from tests.support.slurm_accounting import accounted_cluster
from tests.support.slurm_harness import SlurmHarness

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with accounted_cluster() as running:
        yield running


def forgotten(cluster: Cluster, *jobs: str) -> None:
    """Wait until the controller knows none of these jobs any more."""
    until(
        lambda: not set(jobs) & set(cluster.run("squeue", "--states=all", "--noheader", "--format=%i").split()),
        "a controller that has forgotten",
    )


async def test_ends_are_found_by_number_and_name(cluster: Cluster) -> None:
    slurm = ask(cluster.options())
    words = ("--chdir=/", "--output=/dev/null", "--mem=64M")
    scripts = {"well": "exit 0", "badly": "exit 3", "cancelled": "sleep 600", "over": "tail /dev/zero"}
    jobs = {
        name: await slurm.submit([f"--job-name=dais-{name}", *words], f"#!/bin/sh\n{script}\n")
        for name, script in scripts.items()
    }
    try:
        running = ("squeue", "--noheader", "--states=R", f"--jobs={jobs['cancelled']}", "--format=%i")
        until(lambda: cluster.run(*running) != "", "a job that runs")
        await slurm.cancel([jobs["cancelled"]], "overdue")
        forgotten(cluster, *jobs.values())
        found = await slurm.ends(jobs)
        memory = "OUT_OF_MEMORY" if cluster.counts_memory else "FAILED"
        assert found == {"well": "COMPLETED", "badly": "FAILED", "cancelled": "CANCELLED", "over": memory}
        assert await slurm.ends({"well": jobs["badly"]}) == {}, "a number that now is another attempt's"
        assert slurm.calls["sacct"] == 2
    finally:
        slurm.close()


async def test_a_job_that_somebody_cancelled_while_no_server_looked_is_told_so(cluster: Cluster) -> None:
    harness = SlurmHarness(cluster)
    try:
        engine = await harness.open()
        spec = harness.spec(("sleep-forever",))
        async with watching(engine) as watcher:
            await engine.launch([spec])
            await watcher.running(spec.attempt_id)
        await engine.close()
        job = cluster.run("squeue", "--noheader", f"--name=dais-{spec.attempt_id}", "--format=%i")
        cluster.run("scancel", job)
        forgotten(cluster, job)
        engine = await harness.open()
        async with watching(engine) as watcher:
            end = await watcher.over(spec.attempt_id)
        await engine.close()
        assert (end.phase, end.reason, end.detail) == (
            Phase.ENDED, "stopped", "cancelled in Slurm, not through Dais",
        )  # fmt: skip
    finally:
        await harness.close()
