"""Whoever dies in an upgrade leaves a database that the next start upgrades, with nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.kit.database.migrate import upgrade
from tests.chaos.points import POINTS, Point
from tests.chaos.world import ChaosInstallation
from tests.support.first_schema import OLD, SECRET, fill, rows_of
from tests.support.supervisor import until

pytestmark = pytest.mark.slow

UPGRADES = [point for point in POINTS if point.area == "upgrades"]


@pytest.fixture
def old(tmp_path: Path) -> Iterator[ChaosInstallation]:
    """An installation, not started, whose database has the first schema."""
    made = ChaosInstallation(tmp_path / "old")
    made.data.mkdir(mode=0o700)
    url = f"sqlite:///{made.data}/dais.db"
    upgrade(url, step=OLD)
    fill(url, made.data)
    made.config.mkdir(parents=True)
    (made.config / "profiles.toml").write_text(f'[default]\nurl = "http://localhost:1"\ntoken = "{SECRET}"\n')
    yield made
    made.close()


@pytest.mark.parametrize("point", UPGRADES, ids=lambda point: point.name)
def test_an_upgrade_that_dies_is_done_by_the_next_start(old: ChaosInstallation, point: Point) -> None:
    before = rows_of(f"sqlite:///{old.data}/dais.db")
    old.plan(point, 1)
    old.launch()
    assert old.server is not None
    until(lambda: (old.faults / "fired").exists() or not old.live(0), "somebody has died")
    old.kill()
    assert old.fired(), old.said()

    old.start()
    jobs = {job["name"]: job for job in old.ask("GET", "/v1/jobs?limit=100").json["items"]}
    assert jobs.keys() == {row["name"] for row in before["jobs"]}
    for name in ("pending", "scheduled", "preparing", "running", "finishing"):
        assert old.wait(jobs[name]["id"]).state in ("SUCCEEDED", "FAILED"), name
    assert old.get(before["folders"][0]["id"], "kept.txt") == b"kept"
    assert old.run("true").state == "SUCCEEDED"
    assert old.is_well()
