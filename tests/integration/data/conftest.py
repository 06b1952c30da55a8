"""An installation with files: stores on a real disk, a real server, and a client of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dais import Client
from dais.api.bulk import listening
from dais.api.settings import BulkSettings
from dais.data import BlobStore, FolderStore
from dais.kit.ids import new_id
from dais.kit.vault import KEY_FILE, Vault
from tests.support import places
from tests.support.buckets import ObjectStore, object_store
from tests.support.serving import Api, lake_api


@pytest.fixture(scope="session")
def objects() -> Iterator[ObjectStore]:
    """An object store for the session; whoever uses it empties it before."""
    with object_store() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "folders")


@pytest.fixture
def folder_id(store: FolderStore) -> str:
    """An empty folder."""
    made = new_id()
    store.create(made)
    return made


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture(params=["past the API", "through the API"])
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Api]:
    """An installation that answers over HTTP, with stores in `data`; with a listener for bulk data, and without."""
    data = tmp_path / "data"
    with lake_api(data) as running:
        running.services.parts.folders = FolderStore(data / "folders")
        running.services.parts.vault = Vault(data / KEY_FILE)
        with listening(running.services, "127.0.0.1", BulkSettings(listen=request.param == "past the API")):
            yield running


@pytest.fixture
def client(server: Api) -> Iterator[Client]:
    with Client(server.url, server.administrator.token.secret) as connected:
        yield connected


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    with places.small_disk(tmp_path / "disk", "size=8m") as place:
        yield place


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that nobody may reach through a folder."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "secret").write_text("nobody may read this")
    return directory


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small directory with every kind of thing that is carried."""
    top = tmp_path / "tree"
    (top / "sub/deep").mkdir(parents=True)
    (top / "hello.txt").write_text("hello")
    (top / "sub/run.sh").write_text("#!/bin/sh\n")
    (top / "sub/run.sh").chmod(0o755)
    (top / "sub/deep/data.bin").write_bytes(os.urandom(100_000))
    (top / "large.bin").write_bytes(os.urandom(3_000_000))
    (top / "nothing").touch()
    (top / "empty").mkdir()
    (top / "link").symlink_to("sub/run.sh")
    (top / "sub/up").symlink_to("../hello.txt")
    (top / "a\nb <i>&amp;").write_text("a name with a newline and markup")
    return top


def same(one: Path, other: Path) -> bool:
    """Whether two directories hold the same: names, contents, links, executable bits."""
    return snapshot(one) == snapshot(other)


def snapshot(top: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(top.rglob("*")):
        name = str(path.relative_to(top))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))  # noqa: PTH115
        elif path.is_dir():
            found[name] = "directory"
        else:
            found[name] = (path.read_bytes(), os.access(path, os.X_OK) and bool(path.stat().st_mode & 0o100))
    return found
