"""Versioned files of a real server: there and back, killed while it commits, on a disk that runs full."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dais import Client
from dais.sdk.errors import DaisError, NotFound
from dais.sdk.progress import Progress
from dais.wire.lake import LakeEntry
from tests.support.installation import Installation, installation

RESERVE = 1 << 20


@pytest.fixture
def cramped(disk: Path, tmp_path: Path) -> Iterator[Installation]:
    """An installation whose data directory is on a small disk."""
    with installation(tmp_path, data=disk / "data", settings={"DAIS_DATA_RESERVE_DISK": str(RESERVE)}) as running:
        yield running


def tree(place: Path, count: int, size: int = 100) -> Path:
    """Files that nobody has seen before."""
    for number in range(count):
        path = place / f"{number // 10}" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.randbytes(size))
    return place


def examined(running: Installation, *, code: int = 0) -> dict[str, object]:
    """What `dais doctor data` says."""
    answer = running.dais("doctor", "data", "--data-dir", str(running.data), "--json")
    assert answer.returncode == code, answer.stderr
    found: dict[str, object] = json.loads(answer.stdout)
    return found


def test_files_go_there_and_back(shared: Installation, tmp_path: Path) -> None:
    top = tree(tmp_path / "tree", 30)
    (top / "large").write_bytes(random.randbytes(20 << 20))
    for state in ("new", "same"):
        done = shared.dais("file", "upload", str(top), "/back/", "--set", "back", "--json")
        assert done.returncode == 0, done.stderr
        assert {one["state"] for one in json.loads(done.stdout)} == {state}
    mount = tmp_path / "to" / "mount"
    assert shared.dais("fileset", "download", "bakc:1", str(mount)).returncode == 1
    assert not mount.parent.exists(), "nothing is made for what is not there"
    assert shared.dais("fileset", "download", "back:1", str(mount)).returncode == 0
    assert shared.dais("file", "download", "/back/large", cwd=mount).returncode == 0, "into this directory"
    assert (mount / "large").read_bytes() == (top / "large").read_bytes()
    lost = shared.dais("file", "upload", str(top))
    assert (lost.returncode, b"say where it goes" in lost.stderr) == (2, True)
    (empty := tmp_path / "empty").mkdir()
    nothing = shared.dais("file", "upload", str(empty), "/back/", "--set", "none")
    assert (nothing.returncode, b"there are no files in" in nothing.stderr) == (2, True)
    missing = shared.dais("file", "download", "/back/lrge")
    assert b"did you mean /back/large?" in missing.stderr
    nowhere = shared.dais("file", "download", "/back/0/0.bin", "/proc/")
    assert nowhere.stderr.startswith(b"error: nothing can be written into /proc: ")
    assert b"did you mean" not in shared.dais("file", "download", "/back/nothing").stderr
    for path in top.rglob("*"):
        if path.is_file():
            assert (mount / "back" / path.relative_to(top)).read_bytes() == path.read_bytes()
    found = examined(shared)
    assert (found["sound"], found["files"]) == (True, [])
    freed = json.loads(shared.dais("gc", "--dry-run", "--data-dir", str(shared.data), "--json").stdout)
    assert freed == {"freed": 0, "dry_run": True}


def test_doctor_names_the_versions_that_suffer(own: Installation, tmp_path: Path) -> None:
    client = own.client()
    content = tmp_path / "large"
    content.write_bytes(random.randbytes(17 << 20))
    small = tree(tmp_path / "t", 1) / "0/0.bin"
    client.files.upload([(content, "/large"), (small, "/small")])
    digest = client.files.get("/small").digest.removeprefix("blake3:")
    blobs = own.data / "blobs"
    (recipe,) = blobs.glob("??/*.recipe")
    chunk = json.loads(recipe.read_bytes())["chunks"][3][0].removeprefix("blake3:")
    damaged = blobs / chunk[:2] / chunk
    damaged.chmod(0o600)
    with damaged.open("r+b") as file:
        file.write(b"?" * 10)
    (blobs / digest[:2] / digest).unlink()
    found = examined(own, code=1)
    files = found["files"]
    assert isinstance(files, list)
    assert {(one["file"].partition(":")[2], one["problem"]) for one in files} == {
        ("/large:1", "damaged"),
        ("/small:1", "missing"),
    }
    with pytest.raises(DaisError, match="damaged"):
        client.files.download([("/large", str(tmp_path / "got"))])
    shared = own.dais("doctor", "data", "--discard", "--data-dir", str(own.data))
    assert shared.returncode == 1
    client.files.upload([(content, "/large"), (small, "/small")])
    assert examined(own)["sound"] is True
    client.files.download([("/large:1", str(tmp_path / "got"))])
    assert (tmp_path / "got").read_bytes() == content.read_bytes()


@pytest.mark.slow
def test_a_server_killed_while_it_commits_leaves_no_half_version(
    own: Installation, tmp_path: Path, chance: random.Random
) -> None:
    count, rounds = 400, 5
    top = tree(tmp_path / "tree", count)
    for number in range(rounds):
        for path in list(top.rglob("*.bin"))[:: chance.randrange(1, 4)]:
            path.write_bytes(random.randbytes(200))
        # The last rounds: all contents are there, and the commit is on its way.
        wanted = count if number > 1 else chance.randrange(count)
        client = own.client()
        client.patience = 60
        sending = Sending(client, top, wanted)
        sending.start()
        assert sending.reached.wait(60)
        own.kill()
        own.start()
        sending.join()
        assert len(there(client)) in (0, count)
        client.files.upload_tree(top, "/t/")
        assert len(there(client)) == count
        place = tmp_path / f"got{number}"
        client.files.download_tree("/t/", place)
        assert all((place / path.relative_to(top)).read_bytes() == path.read_bytes() for path in top.rglob("*.bin"))
    assert examined(own)["sound"] is True


class Sending(threading.Thread):
    """An upload; `reached` is set when so many files are with the server."""

    def __init__(self, client: Client, top: Path, wanted: int) -> None:
        super().__init__()
        self._client, self._top, self._wanted = client, top, wanted
        self.reached = threading.Event()

    def run(self) -> None:
        with suppress(DaisError):  # it may have been cut off
            self._client.files.upload_tree(self._top, "/t/", progress=self._told)
        self.reached.set()

    def _told(self, now: Progress) -> None:
        if now.files >= self._wanted:
            self.reached.set()


def there(client: Client) -> list[LakeEntry]:
    """The files that can be seen."""
    try:
        return list(client.files.ls("/t/", recursive=True))
    except NotFound:
        return []


def test_a_full_disk_refuses_an_upload_whole(cramped: Installation, tmp_path: Path) -> None:
    small, large = tree(tmp_path / "small", 20), tree(tmp_path / "large", 12, 6 << 20)
    client = cramped.client()
    client.files.upload_tree(small, "/kept/")
    with pytest.raises(DaisError) as refused:
        client.files.upload_tree(large, "/too-much/")
    assert refused.value.code == "disk-full"
    assert [one.path for one in client.files.ls("/")] == ["/kept/"]
    big = tmp_path / "big"
    big.write_bytes(random.randbytes(60 << 20))
    with pytest.raises(DaisError) as refused:
        client.files.upload([(big, "/too-much")])
    assert refused.value.code == "disk-full"
    client.files.download_tree("/kept/", tmp_path / "back")
    assert len(list((tmp_path / "back").rglob("*.bin"))) == 20
    assert os.statvfs(cramped.data).f_bavail >= 0
    assert examined(cramped)["sound"] is True
