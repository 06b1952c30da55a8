"""What the disk watch sees of real disks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.compute import ComputeSettings
from dais.compute.groups.disk import look_at
from tests.support import places

SETTINGS = ComputeSettings()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB, for 200 files."""
    with places.small_disk(tmp_path / "disk", "size=8m,nr_inodes=200") as place:
        yield place


def test_bytes_run_short(disk: Path) -> None:
    found = look_at(disk, SETTINGS)
    assert found is not None
    assert (found.short, found.size, found.free) == (None, 8 << 20, 8 << 20)
    assert found.full("here") is None
    filler = disk / "filler"
    filler.write_bytes(bytes((8 << 20) - (256 << 10)))
    short = look_at(disk, SETTINGS)
    assert short is not None
    assert short.short == "256 KiB free, 410 KiB needed"
    assert (short.full("here") or "").startswith("the disk of here is nearly full: 256 KiB free")
    assert (look_at(disk, ComputeSettings(free_disk=100 << 10)) or found).short is None
    filler.unlink()
    assert (look_at(disk, SETTINGS) or short).short is None


def test_files_run_short(disk: Path) -> None:
    for number in range(192):
        (disk / str(number)).touch()
    found = look_at(disk, SETTINGS)
    assert found is not None
    assert found.short == "room for 7 files, 10 needed"
    assert (look_at(disk, ComputeSettings(free_inodes=0)) or found).short is None


def test_a_disk_that_cannot_be_asked_stops_nothing(tmp_path: Path) -> None:
    assert look_at(tmp_path / "gone", SETTINGS) is None
