"""Giving trees to the user who is to have them, without following links or giving away what has other names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dais.kit.handover import hand_over
from tests.support.needs import needs_root

NEW, OLD = 61_310, 61_311


@pytest.fixture(autouse=True)
def _root() -> None:
    needs_root()


def _owner(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid


def _tree(top: Path) -> None:
    (top / "a/b").mkdir(parents=True)
    (top / "a/b/file").write_text("x")
    (top / "a/link").symlink_to("b/file")
    os.mkfifo(top / "a/pipe")
    for path in (top, *top.rglob("*")):
        os.chown(path, OLD, OLD, follow_symlinks=False)


def test_whole_trees_are_given_and_what_is_theirs_is_not_looked_at_again(tmp_path: Path) -> None:
    for name in ("one", "two", "kept"):
        _tree(tmp_path / name)
    assert hand_over(tmp_path, NEW, NEW, keep=("kept",)) == 2
    for path in ((tmp_path / "one"), *(tmp_path / "one").rglob("*")):
        assert _owner(path) == (NEW, NEW), path
    assert _owner(tmp_path / "kept/a") == (OLD, OLD)
    assert _owner(tmp_path) == (0, 0)
    os.chown(tmp_path / "two/a", OLD, OLD)
    assert hand_over(tmp_path, NEW, NEW, keep=("kept",)) == 0
    assert _owner(tmp_path / "two/a") == (OLD, OLD)


def test_one_that_was_interrupted_is_gone_through_again(tmp_path: Path) -> None:
    _tree(tmp_path / "one")
    os.chown(tmp_path / "one/a", NEW, NEW)  # what is below is given first, and the top last
    hand_over(tmp_path, NEW, NEW)
    assert _owner(tmp_path / "one/a/b/file") == (NEW, NEW)


def test_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("root's")
    places = tmp_path / "places"
    _tree(places / "one")
    (places / "one/out").symlink_to(outside)
    (places / "one/a/out").symlink_to(outside / "file")
    (places / "direct").symlink_to(outside)
    hand_over(places, NEW, NEW)
    assert _owner(outside) == _owner(outside / "file") == (0, 0)
    assert _owner(places / "direct") == _owner(places / "one/a/out") == (NEW, NEW)


def test_a_file_of_root_s_with_another_name_is_not_given_away(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's")
    _tree(tmp_path / "places/one")
    (tmp_path / "places/one/a/hard").hardlink_to(secret)
    (tmp_path / "places/hard").hardlink_to(secret)
    (tmp_path / "places/one/a/twice").hardlink_to(tmp_path / "places/one/a/b/file")
    hand_over(tmp_path / "places", NEW, NEW)
    assert _owner(secret) == (0, 0)
    assert _owner(tmp_path / "places/one/a/twice") == (NEW, NEW)


def test_setuid_bits_do_not_come_along(tmp_path: Path) -> None:
    _tree(tmp_path / "one")
    (tmp_path / "one/a/b/file").chmod(0o6755)
    hand_over(tmp_path, NEW, NEW)
    assert (tmp_path / "one/a/b/file").stat().st_mode & 0o7777 == 0o755


def test_a_tree_deeper_than_any_path_is_given(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    name = "d" * 200
    for _ in range(60):
        os.mkdir(name, dir_fd=fd)
        os.chown(name, OLD, OLD, dir_fd=fd)
        inner = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    hand_over(tmp_path, NEW, NEW)
    assert (os.fstat(fd).st_uid, os.fstat(fd).st_gid) == (NEW, NEW)
    os.close(fd)


def test_what_is_not_there_has_nothing_in_it(tmp_path: Path) -> None:
    assert hand_over(tmp_path / "absent", NEW, NEW) == 0
