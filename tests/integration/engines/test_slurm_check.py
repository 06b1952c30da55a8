"""What `dais attach slurm` finds on a real Slurm, and on none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dais.engines.contract import CheckReport
from dais.engines.slurm import SlurmOptions, check
from tests.support.slurm import Cluster, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def look(options: SlurmOptions, directory: Path) -> tuple[CheckReport, dict[str, Any]]:
    """The report, and what is not as it should be, by name."""
    report = await check(options, data_dir=directory)
    return report, {finding.name: finding.detail for finding in report.findings if not finding.ok}


async def test_a_slurm_that_works_is_sound(slurm: Cluster) -> None:
    report, wrong = await look(slurm.options(isolation=""), slurm.place)
    assert report.sound, wrong
    found = {finding.name: finding.detail for finding in report.findings}
    assert found["partition"] == "main, which is Slurm's default"
    assert found["nodes"] == "4 of 4 can start jobs"
    assert found["submitting"] == "a job like ours would be taken"
    assert f"one ran on {slurm.prefix}" in found["job"]
    assert "by bubblewrap" in found["sandbox"]
    assert not list(slurm.place.glob(".check-*"))
    assert report.default_image == "host"


@pytest.mark.parametrize(
    "options,name,words",
    [
        ({"partition": "mian"}, "partition", "there is no partition 'mian'; did you mean 'main'?"),
        ({"constraint": "moon"}, "submitting", "a job would be refused"),
        ({"user": "nobody-at-all"}, "user", "user 'nobody-at-all' does not exist"),
        ({"directory": "/nothing/here"}, "directory", "/nothing/here is no directory here"),
        ({"bin": "/nothing"}, "commands", "/nothing/sinfo cannot be started"),
    ],
)
async def test_what_is_missing_is_named_with_what_mends_it(
    slurm: Cluster, tmp_path: Path, options: dict[str, Any], name: str, words: str
) -> None:
    report, wrong = await look(slurm.options(**options), tmp_path)
    assert not report.sound
    assert words in wrong[name]
    assert all(finding.remedy for finding in report.findings if not finding.ok)


async def test_a_controller_that_is_away_is_told(tmp_path: Path, slurm: Cluster) -> None:
    conf = tmp_path / "slurm.conf"
    text = slurm.conf.read_text().replace("SlurmctldPort=", "SlurmctldPort=1 #")
    conf.write_text(text.replace("MessageTimeout=10", "MessageTimeout=1"))
    _, wrong = await look(SlurmOptions(conf=str(conf)), tmp_path)
    assert list(wrong) == ["controller"]


async def test_a_job_that_cannot_write_to_the_directory_is_told(slurm: Cluster, tmp_path: Path) -> None:
    """The jobs' user may not enter it, as if the nodes had another file system there."""
    report, wrong = await look(slurm.options(), tmp_path)
    assert not report.sound
    assert list(wrong) == ["job"]
    assert "look-" in wrong["job"]


async def test_a_cluster_without_a_free_node_is_sound_and_untried(slurm: Cluster) -> None:
    held = slurm.run("sbatch", "--parsable", "--partition=one", "--exclusive", "--chdir=/", "--output=/dev/null",
                     "--wrap=sleep 600")  # fmt: skip
    try:
        until(lambda: slurm.run("squeue", "--noheader", f"--jobs={held}", "--format=%T") == "RUNNING", "a full node")
        report = await check(slurm.options(partition="one"), data_dir=slurm.place, seconds=1)
    finally:
        slurm.run("scancel", held)
    assert report.sound
    assert [finding.name for finding in report.findings if not finding.ok] == ["job"]
    assert "no node was free" in report.findings[-1].detail
