"""Root directories as images, from their registration to a job's end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.installation import Installation
from tests.support.needs import needs_bwrap
from tests.support.roots import SYSTEM, small_root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small root file system."""
    needs_bwrap()
    return small_root(tmp_path / "small")


def test_an_image_from_its_registration_to_its_end(shared: Installation, root: Path) -> None:
    added = shared.dais("image", "add", "small", str(root), "--json")
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["system"] == SYSTEM
    again = shared.dais("image", "add", "small", str(root))
    assert again.returncode == 1
    assert b"dais image rm small" in again.stderr

    (root.parent / "source").mkdir()
    (root.parent / "source" / "file").write_text("from here\n")
    command = ["run", "--image", "small", "--", "sh", "-c", "cat /etc/os-release file; ls /; echo $PATH; touch /bin/x"]
    run = shared.dais(*command, cwd=root.parent / "source")
    lines = run.stdout.decode().splitlines()
    assert lines[1:4] == [f'PRETTY_NAME="{SYSTEM}"', "from here", "bin"], run.stderr
    assert "usr" not in lines
    assert b"Read-only file system" in run.stderr + run.stdout
    assert b"/opt/dais/bin" not in run.stdout

    (shown,) = json.loads(shared.dais("image", "ls", "--json").stdout)
    assert (shown["name"], shown["path"], shown.get("size")) == ("small", str(root), None)
    size = json.loads(shared.dais("image", "get", "small", "--json").stdout)["size"]
    assert size >= (root / "bin" / "busybox").stat().st_size

    job = shared.submit("sh", "-c", "echo up; sleep 1000", image="small")
    shared.wait_output(job, b"up")
    used = shared.dais("image", "rm", "small")
    assert used.returncode == 1
    assert job.id.encode() in used.stderr
    shared.dais("job", "kill", job.id)
    shared.wait(job.id)
    assert shared.dais("image", "rm", "small").returncode == 0
    unknown = shared.dais("run", "--no-source", "--image", "small", "--", "true")
    assert unknown.returncode != 0
    assert b"no image 'small'" in unknown.stderr


def test_what_cannot_be_an_image_is_refused_with_the_remedy(shared: Installation, root: Path) -> None:
    for directory, words in (
        ("/", b"running system"),
        (str(shared.data), b"data directory"),
        (str(root / "etc"), b"no root file system"),
        ("small", b"no group has an image store"),
    ):
        refused = shared.dais("image", "add", "other", directory)
        assert refused.returncode == 1
        assert words in refused.stderr
    assert b"cannot name an image" in shared.dais("image", "add", "A b", str(root)).stderr
    assert shared.dais("image", "add", "host", str(root)).returncode == 1
    assert json.loads(shared.dais("image", "ls", "--json").stdout) == []


def test_requirements_with_an_image_without_python_are_refused(shared: Installation, root: Path) -> None:
    assert shared.dais("image", "add", "bare", str(root)).returncode == 0
    source = root.parent / "source"
    source.mkdir()
    (source / "requirements.txt").write_text("six\n")
    command = ("run", "--image", "bare", "--requirements", "requirements.txt", "--", "true")
    refused = shared.dais(*command, cwd=source)
    assert refused.returncode != 0
    assert b"no Python was found" in refused.stderr
    assert shared.dais("run", "--image", "bare", "--", "sh", "-c", "true", cwd=source).returncode == 0
    assert shared.dais("image", "rm", "bare").returncode == 0
