"""A folder's content in a new folder: over HTTP, and what of a hostile tree is carried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.data import FolderStore, copy_folder, list_entries
from dais.kit.ids import new_id
from dais.sdk import Client
from dais.sdk.errors import Conflict, Invalid, NotFound
from tests.support.serving import Api


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "folders")


def made(store: FolderStore) -> tuple[str, Path]:
    folder_id = new_id()
    store.create(folder_id)
    return folder_id, store.root / folder_id


def test_files_keep_what_they_are(store: FolderStore) -> None:
    source, top = made(store)
    (top / "a/b").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "a/run.sh").write_text("echo hi\n")
    (top / "a/run.sh").chmod(0o755)
    os.utime(top / "a/run.sh", ns=(1, 1_600_000_000_000_000_000))
    for number in range(150):
        (top / f"a/b/{number}").write_text(str(number))
    (top / "a/link").symlink_to("b/7")
    into, copy = made(store)
    copy_folder(store, source, into)
    assert (copy / "a/run.sh").stat().st_mode & 0o777 == 0o755
    assert (copy / "a/run.sh").stat().st_mtime_ns == 1_600_000_000_000_000_000
    assert (copy / "a/link").readlink() == Path("b/7")
    assert (copy / "empty").is_dir()
    assert [(copy / f"a/b/{number}").read_text() for number in range(150)] == [str(number) for number in range(150)]
    (copy / "a/b/7").write_text("changed")
    assert (top / "a/b/7").read_text() == "7", "the copy is a tree of its own"
    assert len(os.listdir("/proc/self/fd")) < 60, "what was opened is closed"  # noqa: PTH208


def test_nothing_of_elsewhere_is_carried(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("the server's")
    source, top = made(store)
    (top / "out").symlink_to(tmp_path / "secret")
    (top / "up").symlink_to("../../secret")
    os.mkfifo(top / "pipe")
    (top / "kept").write_text("kept")
    into, _ = made(store)
    copy_folder(store, source, into)
    assert [entry.path for entry in list_entries(store, into).items] == ["kept"]


@pytest.fixture
def client(server: Api) -> Iterator[Client]:
    with Client(server.url, server.administrator.token.secret) as opened:
        yield opened


def test_a_branch_is_made_of_what_is_there_and_goes_its_own_way(client: Client, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/main.py").write_text("print(1)")
    base = client.folders.create("code", tmp_path / "code")
    branch = client.folders.copy("code", "code@v1")
    assert branch.full_name == f"{base.full_name}@v1"
    (tmp_path / "code/main.py").write_text("print(2)")
    client.folders.push("code", tmp_path / "code")
    client.folders.pull(branch.full_name, tmp_path / "old")
    assert (tmp_path / "old/main.py").read_text() == "print(1)"
    with pytest.raises(Conflict) as taken:
        client.folders.copy("code", "code@v1")
    assert taken.value.code == "folder-exists"
    with pytest.raises(Conflict) as held:
        client.folders.remove("code")
    assert held.value.code == "has-branches"
    with pytest.raises(NotFound):
        client.folders.copy("nothing", "code@v2")
    with pytest.raises(NotFound):
        client.folders.create("nothing@v1")
    client.folders.remove("code@v1")
    client.folders.remove("code")
    assert [one.name for one in client.folders.list()] == []


def test_a_version_never_changes_and_can_be_begun_from(client: Client, tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "lib").mkdir(parents=True)
    (code / "lib/run.sh").write_text("echo 1\n")
    (code / "lib/run.sh").chmod(0o755)
    (code / "link").symlink_to("lib")
    client.folders.create("code", code)
    first = client.folders.seal("code")
    assert (first.fileset.name, first.fileset.version, first.fileset.state) == ("code", 1, "new")
    assert first.left_out == ["link (a link)"]
    assert client.folders.seal("code").fileset.state == "same"
    (code / "lib/run.sh").write_text("echo 2\n")
    client.folders.push("code", code)
    client.folders.copy("code", "code@other")
    assert client.folders.seal("code@other").fileset.version == 2, "versions of branches are counted with the others"
    client.folders.copy("code@1", "code@old")
    assert [one.path for one in client.folders.entries("code@old", recursive=True)] == ["lib", "lib/run.sh"]
    client.folders.pull("code@old", tmp_path / "old")
    assert (tmp_path / "old/lib/run.sh").read_text() == "echo 1\n"
    assert (tmp_path / "old/lib/run.sh").stat().st_mode & 0o111
    client.folders.push("code@old", code)  # it can be changed
    (tmp_path / "into").mkdir()
    client.filesets.download("code:1", tmp_path / "into", below="/code/lib")
    assert (tmp_path / "into/run.sh").read_text() == "echo 1\n"
    with pytest.raises(NotFound):
        client.folders.copy("code@7", "code@seven")
    with pytest.raises(NotFound):
        client.filesets.download("code:1", tmp_path / "into", below="/code/nothing")
    client.folders.create(".ssh")
    with pytest.raises(Invalid, match="no versions"):
        client.folders.seal(".ssh")
