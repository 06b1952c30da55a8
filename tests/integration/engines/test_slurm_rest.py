"""Slurm is asked by slurmrestd: what the contract suite, which runs on it too, does not see."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.engines.slurm import SlurmOptions, check
from dais.engines.slurm.asking import ask
from dais.engines.slurm.commands import Failed, Unreachable
from tests.support.engines import eventually, watching
from tests.support.slurm import Cluster, until
from tests.support.slurm_harness import RestHarness, SlurmHarness

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def resting(cluster: Cluster, **fields: object) -> SlurmOptions:
    """A group's options without any command of Slurm's within reach."""
    return cluster.options(rest=cluster.begin_rest(), bin="/nothing", conf="/nothing", **fields)


async def test_a_check_needs_no_command_of_slurms(slurm: Cluster) -> None:
    report = await check(resting(slurm), data_dir=slurm.place)
    found = {finding.name: finding.detail for finding in report.findings}
    assert report.sound, found
    assert "by slurmrestd at unix:///" in found["commands"]
    assert found["partition"] == "main, which is Slurm's default"
    assert f"one ran on {slurm.prefix}" in found["job"]


async def test_what_slurm_refuses_is_told_in_its_words(slurm: Cluster) -> None:
    report = await check(resting(slurm, constraint="moon"), data_dir=slurm.place)
    wrong = {finding.name: finding.detail for finding in report.findings if not finding.ok}
    assert list(wrong) == ["job"]
    assert "nvalid feature" in wrong["job"]


async def test_a_job_of_somebody_else_with_an_attempts_name_is_not_ours(slurm: Cluster) -> None:
    words = ("--parsable", "--job-name=dais-mine", "--chdir=/", "--output=/dev/null", "--mem=64M", "--wrap=sleep 600")
    job = slurm.run("sbatch", *words)
    try:
        assert "dais-mine" in slurm.run("squeue", "--noheader", "--format=%j")
        assert job not in [one.job for one in await ask(resting(slurm)).jobs()]
    finally:
        slurm.run("scancel", job)


async def test_a_token_is_needed_where_it_listens_for_others(slurm: Cluster, tmp_path: Path) -> None:
    token = tmp_path / "token"
    options = slurm.options(rest=slurm.begin_rest_with_tokens(), rest_token=str(token), bin="/nothing")
    token.write_text("nonsense")
    with pytest.raises(Unreachable, match="the token in"):
        await ask(options).nodes()
    token.write_text(slurm.run("scontrol", "token", f"username={slurm.user}", "lifespan=600"))
    asked = ask(options)
    assert len(await asked.nodes()) == 4
    assert await asked.state("999999") is None
    job = await asked.submit(
        ["--job-name=dais-x", "--chdir=/", "--output=/dev/null", "--mem=64M"], "#!/bin/sh\nsleep 9"
    )
    assert [one.attempt_id for one in await asked.jobs() if one.job == job] == ["x"]
    assert slurm.run("squeue", "--noheader", f"--jobs={job}", "--format=%u") == slurm.user
    await asked.cancel([job, "999999"], "overdue")
    until(lambda: not slurm.run("squeue", "--noheader", f"--jobs={job}", "--format=%i"), "the job's end")


async def test_a_job_that_is_taken_with_a_warning_is_taken(slurm: Cluster) -> None:
    """No node is there for it now, which slurmrestd calls an error."""
    slurm.run("scontrol", "update", f"nodename={','.join(slurm.nodes)}", "state=drain", "reason=a pause")
    asked = ask(resting(slurm))
    try:
        job = await asked.submit(["--job-name=dais-y", "--chdir=/", "--output=/dev/null"], "#!/bin/sh\ntrue\n")
        assert {node.away for node in await asked.nodes()} == {"drain in Slurm: a pause"}
        assert [(one.job, one.waiting) for one in await asked.jobs() if one.attempt_id == "y"] == [(job, True)]
        await asked.cancel([job], "waiting")
    finally:
        slurm.run("scontrol", "update", f"nodename={','.join(slurm.nodes)}", "state=resume")


async def test_what_does_not_answer_is_told_apart_from_what_is_no_slurmrestd(slurm: Cluster, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        await ask(slurm.options(rest=f"unix://{tmp_path}/none")).jobs()
    with pytest.raises(Failed, match=r"has no such version"):
        await ask(resting(slurm, rest_version="v9.9.9")).jobs()


async def test_an_outage_of_the_controller_or_of_slurmrestd_loses_nothing(harness: SlurmHarness) -> None:
    cluster, rest = harness.cluster, RestHarness(harness.cluster)
    engine = await rest.open()

    async def is_connected(wanted: bool) -> bool:
        return engine.connected is wanted

    try:
        async with watching(engine) as watcher:
            specs = [rest.spec(("sleep", seconds), ("exit", seconds)) for seconds in ("3", "1", "1")]
            await engine.launch(specs[:1])
            await watcher.running(specs[0].attempt_id)
            cluster.kill("slurmrestd")
            await engine.launch(specs[1:2])
            await eventually(lambda: is_connected(False), "an outage that is noticed")
            cluster.begin_rest()
            cluster.kill_controller()
            await engine.launch(specs[2:])
            cluster.begin_controller()
            ends = [await watcher.over(spec.attempt_id) for spec in specs]
        assert [end.exit_code for end in ends] == [3, 1, 1], [end.detail for end in ends]
        await eventually(lambda: is_connected(True), "an engine that knows that Slurm is back")
    finally:
        await engine.close()
        await rest.close()
