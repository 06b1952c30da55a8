"""Run directories that serve again: only those in which no job left a trace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dais.compute.loops.spares import MOST, Spares


@pytest.fixture
def spares(tmp_path: Path) -> Spares:
    made = Spares(tmp_path / ".spare")
    made.begin()
    return made


def run_directory(tmp_path: Path, name: str) -> Path:
    directory = tmp_path / name
    (directory / "work").mkdir(parents=True, mode=0o755)
    (directory / "work").chmod(0o755)
    return directory


def keep(spares: Spares, directory: Path) -> bool:
    return spares.keep(directory, os.geteuid(), None)


def test_an_untouched_directory_serves_the_next_run(tmp_path: Path, spares: Spares) -> None:
    first = run_directory(tmp_path, "first")
    inode = (first / "work").stat().st_ino
    assert keep(spares, first)
    assert not first.exists()
    assert spares.take(tmp_path / "second")
    assert (tmp_path / "second" / "work").stat().st_ino == inode
    assert not spares.take(tmp_path / "third")


def _write(work: Path) -> None:
    (work / "result").write_text("mine")


def _hide(work: Path) -> None:
    (work / ".hidden").mkdir()


def _close(work: Path) -> None:
    work.chmod(0o700)


def _open(work: Path) -> None:
    work.chmod(0o777)


def _pass_on_group(work: Path) -> None:
    work.chmod(0o2755)


def _mark(work: Path) -> None:
    os.setxattr(work, "user.mine", b"1")


def _grow(work: Path) -> None:
    for number in range(200):
        (work / f"{number:0200}").touch()
    for entry in work.iterdir():
        entry.unlink()


def _replace(work: Path) -> None:
    work.rmdir()
    work.symlink_to("/etc")


@pytest.mark.parametrize("leave", [_write, _hide, _close, _open, _pass_on_group, _mark, _grow, _replace])
def test_what_a_job_has_changed_serves_nobody_else(
    tmp_path: Path, spares: Spares, leave: Callable[[Path], None]
) -> None:
    directory = run_directory(tmp_path, "run")
    try:
        leave(directory / "work")
    except OSError as error:
        pytest.skip(f"not possible on this file system: {error}")
    assert not keep(spares, directory)
    assert directory.exists()


def test_another_users_directory_serves_nobody_else(tmp_path: Path, spares: Spares) -> None:
    directory = run_directory(tmp_path, "run")
    assert not spares.keep(directory, os.geteuid() + 1, None)
    assert not spares.keep(directory, os.geteuid(), os.getegid() + 1)


def test_what_is_staged_already_is_left_as_it_is(tmp_path: Path, spares: Spares) -> None:
    assert keep(spares, run_directory(tmp_path, "first"))
    staged = run_directory(tmp_path, "second")
    _write(staged / "work")
    assert not spares.take(staged)
    assert (staged / "work" / "result").read_text() == "mine"
    assert spares.take(tmp_path / "third")


def test_only_so_many_are_kept_and_none_over_a_restart(tmp_path: Path, spares: Spares) -> None:
    kept = [keep(spares, run_directory(tmp_path, f"run{number}")) for number in range(MOST + 1)]
    assert kept == [True] * MOST + [False]
    again = Spares(tmp_path / ".spare")
    again.begin()
    assert list((tmp_path / ".spare").iterdir()) == []
    assert not again.take(tmp_path / "next")
