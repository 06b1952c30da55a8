"""A folder's content in a new folder: over HTTP, and what of a hostile tree is carried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.data import FolderStore, copy_folder, list_entries
from dais.kit.ids import new_id
from dais.sdk import Client
from dais.sdk.errors import Conflict, NotFound
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
