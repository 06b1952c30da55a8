"""What `dais attach slurm` finds on a real Slurm, and on none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dais.engines.contract import CheckReport
from dais.engines.slurm import SlurmOptions, check
from tests.support.slurm import Cluster

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def look(options: SlurmOptions, directory: Path) -> tuple[CheckReport, dict[str, Any]]:
    """The report, and what is not as it should be, by name."""
    report = await check(options, data_dir=directory)
    return report, {finding.name: finding.detail for finding in report.findings if not finding.ok}


async def test_a_slurm_that_works_is_sound(slurm: Cluster, tmp_path: Path) -> None:
    report, wrong = await look(slurm.options(), tmp_path)
    assert report.sound, wrong
    found = {finding.name: finding.detail for finding in report.findings}
    assert found["partition"] == "main, which is Slurm's default"
    assert found["nodes"] == "4 of 4 can start jobs"
    assert found["submitting"] == "a job like ours would be taken"
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
