"""Versioned files and file sets over HTTP: the SDK's and the command line's way there and back."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from dais import Client
from dais.sdk import pushing
from dais.sdk.errors import DaisError, Invalid
from dais.sdk.mapping import convert_to_file_mapping
from dais.sdk.progress import Progress
from tests.support.serving import Api, lake_api

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Api]:
    """An installation with a blob store."""
    with lake_api(tmp_path / "data") as running:
        yield running


@pytest.fixture
def client(lake: Api) -> Iterator[Client]:
    with Client(lake.url, lake.administrator.token.secret) as connected:
        yield connected


@pytest.fixture
def dais(lake: Api, tmp_path: Path) -> Run:
    """Runs a command in a directory of its own."""
    environment = {**os.environ, "DAIS_URL": lake.url, "DAIS_TOKEN": lake.administrator.token.secret}
    (tmp_path / "here").mkdir()

    def run(*words: str, fails: bool = False) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(
            [sys.executable, "-m", "dais", *words],
            env=environment,
            cwd=tmp_path / "here",
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode != 0) == fails, ran.stderr
        return ran

    return run


def grow(top: Path, **files: bytes | str) -> Path:
    """A directory with files; `__` stands for `/`."""
    for name, content in files.items():
        place = top / name.replace("__", "/").replace("_txt", ".txt")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
    return top


def old(top: Path) -> None:
    """Let files look as if nobody had written them for a while, so that the cache may keep their digests."""
    info = time.time() - 60
    for path in top.rglob("*"):
        if path.is_file():
            os.utime(path, (info, info))


def test_the_seeds_tree_goes_up_and_comes_back(tmp_path: Path, dais: Run) -> None:
    tree = grow(tmp_path / "a/b", c__1_txt="one", c__d__2_txt="two" * 700_000, **{"3_txt": "three", "c__x": ""})
    (tree / "c/x").chmod(0o755)
    shown = dais("file", "upload", str(tree / "3.txt"), f"{tree}/c/", "/allen/", "--set", "allen", "--json").stdout
    assert [(one["path"], one["version"], one["state"]) for one in json.loads(shown)] == [
        ("/allen/3.txt", 1, "new"), ("/allen/1.txt", 1, "new"), ("/allen/x", 1, "new"), ("/allen/d/2.txt", 1, "new"),
    ]  # fmt: skip
    grow(tree, c__1_txt="another")
    again = dais("file", "upload", str(tree / "c"), "/allen/", "--set", "allen").stdout
    assert again.count("same") == 2
    assert "/allen/1.txt" in again
    assert [row.split()[1] for row in dais("file", "versions", "/allen/1.txt", "-H").stdout.splitlines()] == ["2", "1"]
    assert dais("file", "ls", "/allen", "--field", "path").stdout.split() == [
        "/allen/d/", "/allen/1.txt", "/allen/3.txt", "/allen/x",
    ]  # fmt: skip
    (tmp_path / "mount").mkdir()
    assert "fetched 4 files" in dais("fileset", "download", "allen:1", str(tmp_path / "mount")).stdout
    here = {
        str(path.relative_to(tmp_path / "mount")): path for path in (tmp_path / "mount").rglob("*") if path.is_file()
    }
    assert sorted(here) == ["allen/1.txt", "allen/3.txt", "allen/d/2.txt", "allen/x"]
    assert here["allen/1.txt"].read_text() == "one"
    assert here["allen/d/2.txt"].stat().st_size == 2_100_000
    assert os.access(here["allen/x"], os.X_OK)
    diff = json.loads(dais("fileset", "diff", "allen:1", "2", "--json").stdout)
    assert [(one["change"], one["path"]) for one in diff] == [("removed", "/allen/3.txt"), ("changed", "/allen/1.txt")][
        ::-1
    ]
    assert dais("file", "download", "/allen/1.txt:1", "old.txt").returncode == 0
    assert (tmp_path / "here/old.txt").read_text() == "one"
    assert "fetched" in dais("file", "download", "/allen/1.txt", "/allen/3.txt", "both").stdout
    assert (tmp_path / "here/both/1.txt").read_text() == "another"
    refused = dais("file", "rm", "/allen/1.txt:1", fails=True)
    assert "allen:1" in refused.stderr
    dais("fileset", "rm", "allen:1")
    dais("file", "rm", "/allen/1.txt:1")
    assert "latest version is 2" in dais("file", "download", "/allen/1.txt:1", "x", fails=True).stderr


def test_what_has_not_changed_is_neither_sent_nor_read(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = grow(tmp_path / "tree", **{f"f{number}": f"content {number}" for number in range(30)})
    large = tree / "large"
    large.write_bytes(random.Random(1).randbytes(3 << 20))
    old(tree)
    told: list[Progress] = []
    assert {one.state for one in client.files.upload_tree(tree, "/t/", progress=told.append)} == {"new"}
    assert (told[-1].files, told[-1].bytes) == (31, told[-1].total_bytes)
    old(tree)  # their times again, so that ctime alone has changed: they must be read
    assert {one.state for one in client.files.upload_tree(tree, "/t/")} == {"same"}
    time.sleep(2.1)  # what was written less than two seconds ago is not remembered
    client.files.upload_tree(tree, "/t/")
    monkeypatch.setattr("dais.sdk.contents.read_small", _not_read)
    monkeypatch.setattr("dais.sdk.contents.OpenFile", _not_read)
    assert {one.state for one in client.files.upload_tree(tree, "/t/")} == {"same"}
    assert {one.version for one in client.files.upload_tree(tree, "/other/")} == {1}
    assert {one.version for one in client.files.upload_tree(tree, "/t/", always=True)} == {2}


def _not_read(*_: object) -> None:
    raise AssertionError("a file that has not changed was read")


def test_contents_that_the_server_lost_are_sent_again(tmp_path: Path, client: Client, lake: Api) -> None:
    tree = grow(tmp_path / "tree", a="one")
    old(tree)
    time.sleep(2.1)
    client.files.upload_tree(tree, "/t/")
    for blob in (tmp_path / "data/blobs").glob("??/*"):
        blob.unlink()
    assert client.files.upload([(tree / "a", "/t/b")])[0].version == 1
    client.files.download([("/t/b", str(tmp_path / "back"))])
    assert (tmp_path / "back").read_text() == "one"


def test_a_file_that_changes_all_the_time_is_told(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    changing = grow(tmp_path, changing="content") / "changing"
    read = pushing.read_small

    def meanwhile(file: object) -> bytes:
        data = read(file)  # type: ignore[arg-type]
        changing.write_text(f"content {time.time_ns()}")
        return data

    monkeypatch.setattr("dais.sdk.contents.read_small", meanwhile)
    with pytest.raises(Invalid, match="changes while it is sent"):
        client.files.upload([(changing, "/changing")])
    with pytest.raises(DaisError, match="no file"):
        client.files.get("/changing")


def test_a_set_is_written_below_its_mount_point_and_nowhere_else(tmp_path: Path, client: Client) -> None:
    files = grow(tmp_path / "from", a__x="new", a__y="same")
    client.files.upload_tree(files, "/")
    client.filesets.create("s", ["/a/"])
    outside = grow(tmp_path / "outside", x="mine")
    mount = tmp_path / "mount"
    with pytest.raises(Invalid, match="no directory"):
        client.filesets.download("s", mount)
    grow(mount, a__x="other", a__y="same")
    with pytest.raises(Invalid, match="a/x") as refused:
        client.filesets.download("s", mount)
    assert refused.value.code == "in-the-way"
    assert (mount / "a/x").read_text() == "other"
    done = client.filesets.download("s", mount, force=True)
    assert (done.files, done.skipped, (mount / "a/x").read_text()) == (1, 1, "new")
    (mount / "a/x").unlink()
    (mount / "a/x").symlink_to(outside / "x")
    with pytest.raises(Invalid, match="a/x"):
        client.filesets.download("s", mount)
    client.filesets.download("s", mount, force=True)
    assert (outside / "x").read_text() == "mine"
    assert not (mount / "a/x").is_symlink()
    for path in (mount / "a").iterdir():
        path.unlink()
    (mount / "a").rmdir()
    (mount / "a").symlink_to(outside)
    with pytest.raises(Invalid, match="in the way"):
        client.filesets.download("s", mount, force=True)
    assert [path.name for path in outside.iterdir()] == ["x"]


def test_a_mapping_is_as_the_seed_says(tmp_path: Path) -> None:
    top = grow(tmp_path / "a/b", c__1_txt="", c__d__2_txt="", **{"3_txt": ""})
    (top / "c/link").symlink_to("1.txt")
    (top / "c/outside").symlink_to("/etc")
    os.mkfifo(top / "c/pipe")
    mapping = convert_to_file_mapping([str(top / "3.txt"), f"{top}/c/"], "/allen/", [str(top / "c/d")])
    assert mapping.files_to_upload == [(f"{top}/3.txt", "/allen/3.txt"), (f"{top}/c/1.txt", "/allen/1.txt")]
    assert sorted(mapping.files_ignored) == [f"{top}/c/{name}" for name in ("d/2.txt", "link", "outside", "pipe")]
    with pytest.raises(Invalid, match="is no directory"):
        convert_to_file_mapping([f"{top}/c/"], "/allen")


def test_a_commit_of_contents_that_are_not_there_is_refused(client: Client, lake: Api) -> None:
    digest = "blake3:" + "0" * 64
    body = {"files": [{"path": "/a", "digest": digest, "size": 1}]}
    answer = lake.ask("POST", "/v1/files", json.dumps(body))
    assert (answer.status, answer.json["code"]) == (409, "blobs-missing")
    assert answer.json["fields"]["missing"] == [digest]
    stored = lake.services.blobs.put(b"xx")
    answer = lake.ask("POST", "/v1/files", json.dumps({"files": [{"path": "/a", "digest": stored, "size": 1}]}))
    assert (answer.status, answer.json["code"]) == (400, "wrong-size")
    with pytest.raises(DaisError, match="no file"):
        client.files.get("/a")


@pytest.mark.parametrize(
    "path,code",
    [
        ("/a/../../etc/passwd", "path-outside"),
        ("/a//b", "bad-path"),
        ("/a/./b", "bad-path"),
        ("/a\tb", "control-character"),
        ("/a\0b", "nul-character"),
        ("/a\r\nb", "control-character"),
        ("/" + "a" * 5_000, "path-too-long"),
        ("/a:3", "bad-path"),
        ("/dir/", "bad-path"),
    ],
)
def test_a_path_that_cannot_be_is_refused_at_every_address(lake: Api, path: str, code: str) -> None:
    (digest,) = lake.services.blobs.put_many([b"content"])
    body = {"files": [{"path": path, "digest": digest, "size": 7, "executable": False}]}
    answers = [lake.ask("POST", "/v1/files", json.dumps(body))]
    if path not in ("/a:3", "/dir/"):
        address = quote(path, safe="")
        answers += [
            lake.ask("GET", f"/v1/files/versions?path={address}"),
            lake.ask("GET", f"/v1/files/content?path={address}"),
            lake.ask("DELETE", f"/v1/files?path={address}"),
            lake.ask("POST", "/v1/files/resolve", json.dumps({"files": [path]})),
        ]
    for answer in answers:
        assert answer.status in (400, 422), (answer.status, answer.body)
        assert answer.json["code"] == code
        assert len(answer.body) < 2_000, "what was sent is not sent back whole"
    assert lake.ask("GET", "/v1/files?path=/").json["items"] == []


def test_forms_of_unicode_are_one_name(lake: Api, client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (composed,) = client.files.upload([(tmp_path / "file", "/caf\u00e9.txt")])
    (combined,) = client.files.upload([(tmp_path / "file", "/cafe\u0301.txt")])
    assert (composed.path, composed.version) == (combined.path, combined.version) == ("/caf\u00e9.txt", 1)
    assert client.files.get("/cafe\u0301.txt").path == "/caf\u00e9.txt"
