"""What a working directory takes, whatever a job has made of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dais.compute.loops.disk_use import DEEPEST, measure
from tests.support.needs import needs_root

MIB = 1 << 20
NO_LIMIT = 1 << 60


def fill(path: Path, size: int = MIB) -> None:
    path.write_bytes(os.urandom(size))


def test_all_files_count_whatever_their_directories_are_called(tmp_path: Path) -> None:
    (tmp_path / "a" / "…" / "\n").mkdir(parents=True)
    fill(tmp_path / "one")
    fill(tmp_path / "a" / "…" / "\n" / ".hidden", 2 * MIB)
    use = measure(tmp_path, NO_LIMIT)
    assert 3 * MIB <= use.bytes < 3.2 * MIB
    assert use.files == 5
    assert not use.deep


def test_files_with_several_names_count_once_and_holes_not_at_all(tmp_path: Path) -> None:
    fill(tmp_path / "one")
    for number in range(20):
        (tmp_path / f"again-{number}").hardlink_to(tmp_path / "one")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert MIB <= measure(tmp_path, NO_LIMIT).bytes < 1.2 * MIB


def test_links_lead_nowhere(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    fill(outside / "theirs", 4 * MIB)
    (inside / "link").symlink_to(outside)
    (inside / "loop").symlink_to(".")
    (inside / "file").symlink_to(outside / "theirs")
    assert measure(inside, NO_LIMIT).bytes < MIB
    (tmp_path / "itself").symlink_to(outside)
    assert measure(tmp_path / "itself", NO_LIMIT).bytes == 0


def test_it_stops_once_it_has_seen_too_much(tmp_path: Path) -> None:
    for number in range(50):
        fill(tmp_path / str(number))
    assert 5 * MIB < measure(tmp_path, 5 * MIB).bytes < 8 * MIB


def test_what_is_nested_too_deep_is_told(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(DEEPEST + 5):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert measure(tmp_path, NO_LIMIT).deep


def test_a_directory_that_was_closed_is_opened(tmp_path: Path) -> None:
    """Asked as a user whom modes concern."""
    needs_root()
    closed = tmp_path / "closed"
    closed.mkdir()
    fill(closed / "much", 4 * MIB)
    closed.chmod(0)
    for path in (closed / "much", closed, tmp_path):
        os.chown(path, 4321, 4321)
    seen, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chdir(tmp_path)
            os.setresuid(4321, 4321, 4321)
            os.write(tell, str(measure(Path(), NO_LIMIT).bytes).encode())
        finally:
            os._exit(0)
    os.close(tell)
    os.waitpid(child, 0)
    assert int(os.read(seen, 100) or 0) >= 4 * MIB
    os.close(seen)


@pytest.mark.parametrize("name", ["gone", "file"])
def test_what_is_no_directory_takes_nothing(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "file")
    assert measure(tmp_path / name, NO_LIMIT).bytes == 0
