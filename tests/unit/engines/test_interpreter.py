"""The interpreter of the host image is one that the job's user can really execute."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dais.engines.local import NoInterpreter, find_interpreter
from tests.support.needs import UNPRIVILEGED, needs_root


def program(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def pretend(path: Path, version: str, prefix: str) -> str:
    """A program that answers as a Python of this version would."""
    return program(path, f'#!/bin/sh\necho \'["{path}", "{path}", "{prefix}", [{version}]]\'\n')


def test_one_is_found_here_and_runs() -> None:
    found = find_interpreter(None, None)
    assert os.access(found.path, os.X_OK)
    assert tuple(map(int, found.version.split("."))) >= (3, 9)
    assert found.prefix is None or not found.prefix.startswith("/usr")


def test_the_first_that_works_wins(tmp_path: Path) -> None:
    broken = program(tmp_path / "broken", "#!/bin/sh\necho no >&2; exit 1\n")
    old = pretend(tmp_path / "old", "3, 8, 19", str(tmp_path))
    silent = program(tmp_path / "silent", "#!/bin/sh\n")
    good = pretend(tmp_path / "opt/bin/python3", "3, 12, 1", str(tmp_path / "opt"))
    absent = str(tmp_path / "absent")
    found = find_interpreter(None, None, [absent, broken, old, silent, good, "/usr/bin/python3"])
    assert (found.path, found.version, found.prefix) == (good, "3.12.1", str(tmp_path / "opt"))


def test_a_prefix_inside_usr_needs_no_bind(tmp_path: Path) -> None:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs /usr/bin/python3")
    found = find_interpreter(None, None, ["/usr/bin/python3"])
    assert (found.path, found.prefix) == ("/usr/bin/python3", None)


def test_a_virtual_environment_is_seen_through() -> None:
    if sys.prefix == sys.base_prefix:
        pytest.skip("needs to run in a virtual environment")
    found = find_interpreter(None, None, [sys.executable])
    assert not found.path.startswith(sys.prefix + "/")


def test_what_another_user_cannot_execute_is_passed_over(tmp_path: Path) -> None:
    needs_root()
    private = pretend(tmp_path / "private/bin/python3", "3, 12, 1", str(tmp_path / "private"))
    Path(private).parent.chmod(0o700)
    assert find_interpreter(None, None, [private]).path == private
    with pytest.raises(NoInterpreter, match="Permission denied"):
        find_interpreter(UNPRIVILEGED, UNPRIVILEGED, [private])


def test_nothing_is_found_says_what_was_tried(tmp_path: Path) -> None:
    old = pretend(tmp_path / "old", "3, 7, 2", str(tmp_path))
    with pytest.raises(NoInterpreter, match=r"old: it is Python 3\.7\.2.*install one in /usr/bin"):
        find_interpreter(None, None, [str(tmp_path / "absent"), old])
