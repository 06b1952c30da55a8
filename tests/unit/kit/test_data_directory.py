"""The data directory: private, writable, and used by one server at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dais.kit import data_directory
from dais.kit.data_directory import DirectoryLock, prepare
from dais.kit.errors import Conflict, Invalid, Unavailable
from dais.sdk.installation import LOCK_FILE, find_installation


def test_it_is_made_private_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    prepare(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert list(directory.iterdir()) == []


def test_one_that_others_may_read_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    prepare(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(Invalid, match="is not a directory"):
        prepare(file)
    with pytest.raises(Unavailable, match="--data-dir"):
        prepare(file / "below")


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        with pytest.raises(Conflict) as caught, DirectoryLock(tmp_path):
            pass
        assert caught.value.fields["pid"] == os.getpid()
        found = find_installation(tmp_path)
        assert (found.state, found.pid) == ("starting", os.getpid())
    assert find_installation(tmp_path).state == "stopped"
    with DirectoryLock(tmp_path):
        pass


def test_who_dies_lets_go(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from dais.kit.data_directory import DirectoryLock\n"
        "lock = DirectoryLock(Path(sys.argv[1])); lock.__enter__(); print('held', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert find_installation(tmp_path).pid == process.pid
        process.kill()
        process.wait(30)
        with DirectoryLock(tmp_path):
            pass


def test_a_dead_holder_whose_child_is_still_dying_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock names a process that has gone, and one that inherited it lets go only after the first try."""
    (tmp_path / LOCK_FILE).write_text("999999999\n")
    program = (
        "import sys; from pathlib import Path; from dais.kit.data_directory import DirectoryLock\n"
        "lock = DirectoryLock(Path(sys.argv[1])); lock.take(); print('held', flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        monkeypatch.setattr(data_directory, "_LOCK_SECONDS", 0.0)
        goes = [True]
        # With no limit, for that would sleep, too; and once, though the lock may take a moment longer to be free.
        monkeypatch.setattr("time.sleep", lambda _: process.communicate("\n") if goes and goes.pop() else None)
        with DirectoryLock(tmp_path):
            assert process.returncode == 0


def test_children_do_not_hold_it(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1, close_fds=False)
    try:
        with DirectoryLock(tmp_path):
            pass
    finally:
        child.communicate(b"\n")


def test_what_is_not_there_is_stopped(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing", tmp_path / "nothing" / "below"):
        found = find_installation(place)
        assert (found.state, found.stale) == ("stopped", False)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', "\udcff"])
def test_a_damaged_server_file_is_no_server(tmp_path: Path, content: str) -> None:
    (tmp_path / "server.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert find_installation(tmp_path).state == "stopped"
