"""Which directories can be registered as root file systems, and that no other is ever mounted as one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dais.node.roots import resolve
from tests.support.needs import needs_bwrap, needs_root
from tests.support.roots import SYSTEM, small_root
from tests.support.supervisor import Control, Node


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory that could be a root file system."""
    return small_root(tmp_path / "image")


def test_a_root_is_registered_looked_at_and_remembered(node: Node, control: Control, root: Path) -> None:
    needs_bwrap()
    control.sync()
    answer = node.root(root)
    assert answer == {"op": "root", "path": str(root), "system": SYSTEM, "python": None}
    node.kill()
    control = node.start()
    spec = node.spec("sh", "-c", "cat /etc/os-release; id -un; ls /", isolation="sandbox", root=str(root))
    assert control.run(spec)["exit_code"] == 0
    text = node.log(spec["attempt_id"]).decode().split("\n")
    assert text[1:3] == [f'PRETTY_NAME="{SYSTEM}"', "dais"]
    assert "usr" not in text
    node.root(root, remove=True)
    assert "not registered" in control.run({**spec, "attempt_id": "again"})["detail"]


def test_no_other_directory_becomes_a_root(node: Node, control: Control, root: Path) -> None:
    needs_bwrap()
    node.root(root)
    for path in ("/usr", str(root / "bin"), str(root.parent)):
        ended = control.run(node.spec("true", isolation="sandbox", root=path))
        assert ended["reason"] == "launch-failed"
        assert "not registered" in ended["detail"]


def test_what_is_no_root_is_refused_with_the_reason(node: Node, control: Control, root: Path) -> None:
    control.sync()
    link = root.parent / "link"
    link.symlink_to(root)
    (root.parent / "empty").mkdir()
    reasons = {
        "relative": "no absolute path",
        "/": "part of the running system",
        "/proc/1/root": "part of the running system",
        str(node.directory): "data directory",
        str(node.directory.parent): "data directory",
        str(link): f"register {root}",
        f"{root}/": f"register {root}",
        str(root / "bin" / "busybox"): "no directory",
        str(root.parent / "nowhere"): "no directory",
        str(root.parent / "empty"): "no root file system",
    }
    for path, words in reasons.items():
        answer = node.root(path)
        assert (answer["op"], answer.get("code")) == ("error", "bad-root"), path
        assert words in answer["message"], path
    assert not (node.directory / "roots").exists()


def test_a_root_that_others_can_change_is_refused(node: Node, control: Control, root: Path) -> None:
    control.sync()
    root.chmod(0o775)
    assert f"chmod go-w {root}" in node.root(root)["message"]
    root.chmod(0o755)
    root.parent.chmod(0o777)
    assert f"chmod go-w {root.parent}" in node.root(root)["message"]
    root.parent.chmod(0o755)
    assert node.root(root)["op"] == "root"
    needs_root()
    os.chown(root, 12_345, 0)
    assert "belongs to user 12345" in node.root(root)["message"]


def test_links_of_a_root_are_followed_inside_it(tmp_path: Path) -> None:
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "python3.11").write_text("")
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr" / "bin" / "python3").symlink_to("/bin/python3.11")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("")
    (tmp_path / "out").symlink_to("../../../../etc/passwd")
    (tmp_path / "loop").symlink_to("/loop")
    assert resolve(str(tmp_path), "/bin/python3") == "/usr/bin/python3.11"
    assert resolve(str(tmp_path), "/out") == "/etc/passwd"
    assert resolve(str(tmp_path), "/loop") is None
