"""A supervisor whose server is not root: who may talk to it, and what a server that was taken over gets from it."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dais.node import Leasing
from tests.support.needs import needs_bwrap, needs_root
from tests.support.supervisor import Control, Node, until

OWNER, GROUP, COUNT = 61_320, 61_321, 3
RANGES = itertools.count(61_700, COUNT)


@contextmanager
def _as(uid: int, gid: int) -> Iterator[None]:
    """This process reaches files and sockets as another user."""
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def server(node: Node) -> Control:
    """A control connection of the server's user, to a supervisor that knows that it is not root."""
    needs_root()
    needs_bwrap()
    data = node.directory.parent
    os.chown(data, 0, GROUP)
    data.chmod(0o1771)
    node.directory.mkdir()
    os.chown(node.directory, 0, GROUP)
    node.directory.chmod(0o2750)
    for name in ("folders", "jobs", "envs", "blobs", "host/bin", "folders/f"):
        (data / name).mkdir(parents=True)
        os.chown(data / name, OWNER, GROUP)
    first = node.start(leasing=Leasing(OWNER, GROUP, next(RANGES), COUNT), apart=True)
    if first.hello["isolation"]["uid_lease"] is not True:
        pytest.skip(f"needs id-mapped mounts: {first.hello['isolation']['uid_lease']}")
    first.close()
    with _as(OWNER, GROUP):
        return node.connect()


def _spec(node: Node, script: str = "true", **fields: Any) -> dict[str, Any]:
    spec = node.spec("sh", "-c", script, isolation="sandbox", lease=True)
    del spec["uid"]
    return {**spec, **fields}


def _bind(source: str | Path, *, read_only: bool = True) -> dict[str, Any]:
    return {"binds": [{"source": str(source), "target": "/data", "read_only": read_only, "exact": True}]}


def test_it_serves_the_server_s_user_and_root_alone(node: Node, server: Control) -> None:
    assert server.run(_spec(node))["exit_code"] == 0
    assert server.hello["isolation"]["server_uid"] == OWNER
    status = (node.directory / "supervisor.sock").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (OWNER, 0o600)
    with _as(61_399, 61_399), pytest.raises(PermissionError):
        node.connect()
    # Also one who has the file: who is at the other end counts.
    (node.directory / "supervisor.sock").chmod(0o666)
    node.directory.chmod(0o755)
    with _as(61_399, 61_399):
        stranger = node.connect(hello=False)
    stranger.until_closed()


def test_the_server_reads_the_logs_and_writes_nothing_there(node: Node, server: Control) -> None:
    spec = _spec(node, "echo printed")
    server.run(spec)
    with _as(OWNER, GROUP):
        assert node.log(spec["attempt_id"]) == b"printed\n"
        for action in (
            lambda: (node.directory / "journal").write_text("x"),
            lambda: (node.directory / "new").write_text("x"),
            lambda: node.directory.rename(node.directory.with_name("other")),
            lambda: (node.directory / "attempts" / spec["attempt_id"] / "log/00000000.seg").unlink(),
        ):
            with pytest.raises(PermissionError):
                action()


def test_folders_are_given_as_before(node: Node, server: Control) -> None:
    folder = node.directory.parent / "folders/f"
    spec = _spec(node, "echo made > /data/file; stat -c %u /data/file; id -u", **_bind(folder, read_only=False))
    assert server.run(spec)["exit_code"] == 0, node.log(spec["attempt_id"])
    one, two = node.log(spec["attempt_id"]).split()
    assert one == two
    assert (folder / "file").stat().st_uid == OWNER


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"lease": False}, "leased uids"),
        ({"lease": False, "uid": 0}, "leased uids"),
        ({"lease": False, "uid": 1000}, "leased uids"),
        ({"lease": False, "uid": 61_399, "gid": 0}, "leased uids"),
        ({"lease": True, "uid": 0}, "leaves out uid"),
        ({"lease": False, "isolation": "process"}, "leased uids"),
        (_bind("/etc", read_only=False), "can only be read-only"),
        (_bind("/", read_only=False), "can only be read-only"),
        (_bind("DATA/node/attempts"), "not among what containers are given"),
        (_bind("DATA/dais.db"), "not among what containers are given"),
        (_bind("DATA/folders"), "not among what containers are given"),
        (_bind("DATA/folders/../node"), "without '..'"),
        (_bind("DATA/blobs/aa", read_only=False), "can only be read-only"),
        (_bind("DATA/host/bin", read_only=False), "can only be read-only"),
        (_bind("DATA/sets/one", read_only=False), "can only be read-only"),
        (_bind("DATA//etc", read_only=False), "not among what containers are given"),
    ],
)
def test_what_would_hurt_is_refused(node: Node, server: Control, fields: dict[str, Any], words: str) -> None:
    data = str(node.directory.parent)
    if "binds" in fields:
        (bind,) = fields["binds"]
        fields = {"binds": [{**bind, "source": bind["source"].replace("DATA", data)}]}
    ended = server.run(_spec(node, "id -u; cat /data/*", **fields))
    assert ended["reason"] == "launch-failed"
    assert words in ended["detail"]


def test_links_within_the_data_directory_lead_nowhere(node: Node, server: Control) -> None:
    """The server's user can put a link anywhere below what belongs to it."""
    data = node.directory.parent
    with _as(OWNER, GROUP):
        (data / "folders/direct").symlink_to("/root")
        (data / "folders/f/inner").symlink_to("/etc")
        (data / "folders/f/proc").symlink_to("/proc/self/root")
    for path in ("folders/direct", "folders/f/inner/ssl", "folders/f/proc/etc", "folders/direct/x"):
        for exact in (True, False):
            bind = {"source": str(data / path), "target": "/data", "read_only": False, "exact": exact}
            ended = server.run(_spec(node, "ls /data", binds=[bind]))
            assert ended["reason"] == "launch-failed", path
            assert "symbolic links" in ended["detail"], ended["detail"]


@pytest.mark.parametrize("way", ["binds", "ro_host", "root"])
def test_what_lies_elsewhere_is_reached_with_the_job_s_rights_alone(node: Node, server: Control, way: str) -> None:
    private = node.directory.parent.parent / f"{node.directory.parent.name}-private"
    (private / "inner/bin").mkdir(parents=True)
    (private / "inner/bin/sh").write_text("")
    (private / "inner/bin/sh").chmod(0o755)
    try:
        (private / "inner/secret").write_text("of root's")
        (private / "inner").chmod(0o755)
        private.chmod(0o700)
        if way == "root":
            with _as(OWNER, GROUP):
                registering = node.connect(hello=False)
            registering.send(op="root", path=str(private / "inner"))
            assert registering.receive()["op"] == "root"
        fields: dict[str, Any] = {
            "binds": _bind(private / "inner"),
            "ro_host": {"ro_host": [str(private / "inner")]},
            "root": {"root": str(private / "inner")},
        }[way]
        spec = _spec(node, f"cat /data/secret {private}/inner/secret /secret", **fields)
        ended = server.run(spec)
        assert b"of root" not in node.log(spec["attempt_id"])
        assert "secret" not in (ended["detail"] or "")
        if way != "ro_host":  # which is left out where it is not seen
            assert ended["reason"] == "launch-failed"
            assert "Permission denied" in ended["detail"]
        private.chmod(0o755)
        if way != "root":
            again = _spec(node, f"cat /data/secret {private}/inner/secret", **fields)
            server.run(again)
            assert node.log(again["attempt_id"], 1) == b"of root's"
    finally:
        shutil.rmtree(private)


def test_a_file_that_only_root_may_read_stays_unread(node: Node, server: Control) -> None:
    spec = _spec(node, "cat /data; id -u", **_bind("/etc/shadow"))
    server.run(spec)
    assert b"root:" not in node.log(spec["attempt_id"])
    bound = _spec(node, "cat /etc/shadow", ro_host=["/etc/shadow"])
    server.run(bound)
    assert b"root:" not in node.log(bound["attempt_id"])


def test_it_does_not_serve_where_the_server_could_replace_what_root_writes(node: Node, server: Control) -> None:
    node.kill()
    node.directory.parent.chmod(0o771)  # without the sticky bit the server's group can rename what is root's
    (node.directory / "supervisor.log").write_text("")
    node_again = Leasing(OWNER, GROUP, next(RANGES), COUNT)
    node.begin(leasing=node_again, apart=True)
    log = node.directory / "supervisor.log"
    until(lambda: "where others can write" in log.read_text(), "it has said why it does not serve")
    node.directory.parent.chmod(0o1771)
