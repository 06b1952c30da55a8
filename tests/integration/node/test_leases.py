"""A uid for each container, and files that belong to one owner on disk and to the container's user inside it."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dais.node import Leasing
from tests.support.needs import needs_bwrap, needs_root
from tests.support.supervisor import Control, Node

OWNER, GROUP, COUNT = 61_300, 61_301, 3
RANGES = itertools.count(61_400, COUNT)
SLEEP = "echo ready; sleep 1000"


@pytest.fixture
def first() -> int:
    """The first uid of a range that no other test has: what another one has killed may not be reaped yet."""
    return next(RANGES)


@pytest.fixture
def leasing(node: Node, first: int) -> Control:
    """A supervisor that leases uids, where the machine has id-mapped mounts."""
    needs_root()
    needs_bwrap()
    control = node.start(leasing=Leasing(OWNER, GROUP, first, COUNT))
    why = control.hello["isolation"]["uid_lease"]
    if why is not True:
        pytest.skip(f"needs id-mapped mounts: {why}")
    return control


def _spec(node: Node, script: str, folder: Path | None = None, *, read_only: bool = False) -> dict[str, Any]:
    binds = [{"source": str(folder), "target": "/data", "read_only": read_only, "exact": True}] if folder else []
    spec = node.spec("sh", "-c", script, isolation="sandbox", lease=True, binds=binds)
    del spec["uid"]
    return spec


def _folder(node: Node) -> Path:
    folder = node.directory.parent / "folder"
    folder.mkdir()
    os.chown(folder, OWNER, GROUP)
    return folder


def _uid_of(control: Control, spec: dict[str, Any]) -> int:
    uid: int = control.record(spec["attempt_id"], "started")["uid"]
    return uid


@contextmanager
def _process_of(uid: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process of a user outside of every container, as one that had escaped would be."""
    process = subprocess.Popen(["sleep", "1000"], user=uid, group=uid, extra_groups=[], start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_two_at_once_are_two_users_and_the_lowest_free_uid_is_next(node: Node, leasing: Control, first: int) -> None:
    one, two, three = (_spec(node, f"id -u; {SLEEP}") for _ in range(3))
    leasing.launch(one, two)
    for spec in (one, two):
        node.wait_log(spec["attempt_id"], b"ready")
    assert [_uid_of(leasing, spec) for spec in (one, two)] == [first, first + 1]
    assert node.log(one["attempt_id"]).startswith(f"{first}\n".encode())
    pid = leasing.record(one["attempt_id"], "started")["pid"]
    process = Path(f"/proc/{pid}").stat()
    assert (process.st_uid, process.st_gid) == (first, first)
    leasing.send(op="stop", attempt_id=one["attempt_id"], grace=0)
    leasing.record(one["attempt_id"])
    leasing.launch(three)
    assert _uid_of(leasing, three) == first


def test_when_every_uid_is_taken_a_launch_fails_and_says_so(node: Node, leasing: Control) -> None:
    leasing.launch(*(_spec(node, SLEEP) for _ in range(COUNT)))
    refused = leasing.run(_spec(node, "true"))
    assert (refused["reason"], refused["detail"]) == ("launch-failed", "every uid that containers may have is in use")


def test_a_uid_that_still_has_a_process_is_not_leased(node: Node, leasing: Control, first: int) -> None:
    with _process_of(first):
        spec = _spec(node, "true")
        leasing.run(spec)
        assert _uid_of(leasing, spec) == first + 1
    spec = _spec(node, "true")
    leasing.run(spec)
    assert _uid_of(leasing, spec) == first


def test_at_its_end_whatever_has_its_uid_is_killed(node: Node, leasing: Control, first: int) -> None:
    spec = _spec(node, "echo ready; read line < /data/pipe", folder := _folder(node))
    os.mkfifo(folder / "pipe")
    os.chown(folder / "pipe", OWNER, GROUP)
    leasing.launch(spec)
    node.wait_log(spec["attempt_id"], b"ready")
    with _process_of(_uid_of(leasing, spec)) as escaped, _process_of(first + 1) as other:
        (folder / "pipe").write_text("go on\n")
        assert leasing.record(spec["attempt_id"])["exit_code"] == 0
        assert escaped.wait() == -9
        assert other.poll() is None


@pytest.mark.parametrize("guarded", [True, False])
def test_after_a_kill_whatever_has_a_leased_uid_is_killed(
    node: Node, leasing: Control, first: int, guarded: bool
) -> None:
    spec = _spec(node, SLEEP)
    leasing.launch(spec)
    node.wait_log(spec["attempt_id"], b"ready")
    with _process_of(_uid_of(leasing, spec)) as escaped, _process_of(first + 1) as other:
        node.kill()
        if not guarded:
            after = node.start(leasing=Leasing(OWNER, GROUP, first, COUNT))
            assert after.record(spec["attempt_id"])["reason"] == "lost"
        assert escaped.wait() == -9
        assert other.poll() is None


def test_files_are_the_owner_s_on_disk_and_the_job_s_inside(node: Node, leasing: Control, first: int) -> None:
    folder = _folder(node)
    writing = "mkdir /data/d; echo one > /data/d/f; ln -s f /data/d/l; chmod 600 /data/d/f; chmod 700 /data/d; "
    one = _spec(node, writing + "stat -c %u:%g /data /data/d/f; " + SLEEP, folder)
    leasing.launch(one)
    node.wait_log(one["attempt_id"], b"ready")
    assert node.log(one["attempt_id"]).startswith(2 * f"{first}:{first}\n".encode())
    for path in (folder / "d", folder / "d/f", folder / "d/l"):
        assert (path.lstat().st_uid, path.lstat().st_gid) == (OWNER, GROUP), path
    # Another job, another uid, while the first still runs: what one has closed to others is the next one's, too.
    two = _spec(node, "id -u; cat /data/d/f; echo two >> /data/d/f; rm /data/d/l; stat -c %u /data/d/f", folder)
    assert leasing.run(two)["exit_code"] == 0, node.log(two["attempt_id"])
    assert node.log(two["attempt_id"]) == f"{first + 1}\none\n{first + 1}\n".encode()
    assert (folder / "d/f").read_text() == "one\ntwo\n"


def test_what_is_bound_read_only_stays_so(node: Node, leasing: Control) -> None:
    folder = _folder(node)
    spec = _spec(node, "touch /data/x; mount -o remount,rw,bind /data; touch /data/y", folder, read_only=True)
    assert leasing.run(spec)["exit_code"] != 0
    assert list(folder.iterdir()) == []


def test_files_of_others_are_nobody_s_inside(node: Node, leasing: Control) -> None:
    folder = _folder(node)
    (folder / "root").write_text("root's")
    (folder / "root").chmod(0o600)
    script = "stat -c %u:%g /data/root; cat /data/root; echo x >> /data/root; chmod 666 /data/root; echo done"
    spec = _spec(node, script, folder)
    leasing.run(spec)
    assert node.log(spec["attempt_id"], 1) == b"65534:65534\ndone\n"
    assert (folder / "root").read_text() == "root's"
    assert (folder / "root").stat().st_mode & 0o777 == 0o600


def test_setuid_and_devices_are_worth_nothing(node: Node, leasing: Control, first: int) -> None:
    folder = _folder(node)
    # One that the owner has on disk already, one that a job makes, and one of root's: none changes the user.
    for name, uid in (("owner", OWNER), ("root", 0)):
        (folder / name).write_bytes(Path("/usr/bin/id").read_bytes())
        os.chown(folder / name, uid, uid)
        (folder / name).chmod(0o6755)
    os.mknod(folder / "null", 0o20666, os.makedev(1, 3))
    os.chown(folder / "null", OWNER, GROUP)
    script = """
        cp /usr/bin/id /data/own; chmod 6755 /data/own
        for name in owner root own; do /data/$name -u; /data/$name -g; done
        mknod /data/made c 1 3 2>/dev/null; echo x > /data/null || echo no device
    """
    spec = _spec(node, script, folder)
    leasing.run(spec)
    assert node.log(spec["attempt_id"], 1) == 6 * f"{first}\n".encode() + b"no device\n"
    assert not (folder / "made").exists()
    # On disk they belong to the owner, who is nobody's way to root; and the mount itself says nosuid, not bwrap alone.
    assert (folder / "own").stat().st_uid == OWNER


def test_a_command_and_a_terminal_in_it_have_its_uid(node: Node, leasing: Control, first: int) -> None:
    spec = _spec(node, SLEEP, _folder(node))
    leasing.launch(spec)
    node.wait_log(spec["attempt_id"], b"ready")
    client = node.exec(spec["attempt_id"], "sh", "-c", "id -u; touch /data/by-exec; stat -c %u /data/by-exec")
    assert client.result() == {"exit_code": 0}
    assert client.stdout == 2 * f"{first}\n".encode()
    typed = {**_spec(node, "test -t 1 && id -u"), "pty": {"rows": 24, "cols": 80}}
    assert leasing.run(typed)["exit_code"] == 0
    assert node.log(typed["attempt_id"]).strip() == f"{first + 1}".encode()


@pytest.mark.parametrize("fields, words", [
    ({"uid": 5000}, "leaves out uid and gid"),
    ({"isolation": "process"}, "is for a sandbox"),
])  # fmt: skip
def test_a_lease_is_for_a_sandbox_and_chooses_the_uid(
    node: Node, leasing: Control, fields: dict[str, Any], words: str
) -> None:
    ended = leasing.run({**_spec(node, "true"), **fields})
    assert ended["reason"] == "launch-failed"
    assert words in ended["detail"]


def test_without_a_range_nothing_is_leased(node: Node, control: Control) -> None:
    needs_root()
    needs_bwrap()
    ended = control.run(_spec(node, "true"))
    assert (ended["reason"], ended["detail"]) == ("launch-failed", "lease: this supervisor has no uids to lease")
