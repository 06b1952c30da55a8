"""Push, pull and capture by the client, against a real server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dais import AsyncClient, Client
from dais.data import materialize
from dais.sdk.errors import Conflict, DaisError, Invalid, NotFound
from dais.sdk.progress import Progress
from tests.integration.data.conftest import same, snapshot
from tests.support.serving import Api

ROOT = Path(__file__).parents[3]


def folder_root(server: Api, folder_id: str) -> Path:
    return server.services.folders.root / folder_id


def test_a_tree_goes_in_and_comes_out_the_same(client: Client, tree: Path, tmp_path: Path) -> None:
    client.folders.create("x")
    steps: list[Progress] = []
    pushed = client.folders.push("x", tree, progress=steps.append)
    assert (pushed.files, pushed.skipped, pushed.left_out) == (6, 0, [])
    assert (steps[-1].files, steps[-1].bytes) == (steps[-1].total_files, steps[-1].total_bytes) == (6, pushed.bytes)
    pulled = client.folders.pull("x", tmp_path / "out")
    assert (pulled.files, pulled.bytes, pulled.left_out) == (6, pushed.bytes, [])
    assert same(tree, tmp_path / "out")
    assert client.folders.get("x", measured=True).files == 6


def test_what_is_there_is_skipped_and_what_changed_is_not(client: Client, tree: Path, tmp_path: Path) -> None:
    client.folders.create("x")
    client.folders.push("x", tree)
    client.folders.pull("x", tmp_path / "out")
    again = client.folders.push("x", tree)
    assert (again.files, again.bytes, again.skipped) == (0, 0, 6)
    back = client.folders.pull("x", tmp_path / "out")
    assert (back.files, back.skipped) == (0, 6)
    (tree / "hello.txt").write_text("HELLO")  # as long as before
    (tree / "sub/run.sh").chmod(0o644)
    (tree / "large.bin").write_bytes(os.urandom(3_000_000))
    changed = client.folders.push("x", tree)
    assert (changed.files, changed.skipped) == (3, 3)
    assert client.folders.pull("x", tmp_path / "out").files == 3
    assert same(tree, tmp_path / "out")


def test_parts_and_single_files(client: Client, tree: Path, tmp_path: Path) -> None:
    client.folders.create("x")
    client.folders.push("x", tree, "in/here")
    client.folders.push("x", tree / "large.bin", "models/best.bin")
    client.folders.push("x", tree / "hello.txt")
    client.folders.push("x", tree / "hello.txt", "notes/")
    names = {entry.path for entry in client.folders.entries("x", recursive=True) if entry.kind == "file"}
    assert {"models/best.bin", "hello.txt", "notes/hello.txt", "in/here/sub/run.sh"} <= names
    pulled = client.folders.pull("x", tmp_path / "part", "/in/here/sub")
    assert len(pulled.left_out) == 1, "sub/up leads out of sub"
    (tree / "sub/up").unlink()
    assert same(tree / "sub", tmp_path / "part")
    client.folders.pull("x", tmp_path / "new.bin", "models/best.bin")
    client.folders.pull("x", tmp_path / "part", "hello.txt")
    assert (tmp_path / "new.bin").read_bytes() == (tree / "large.bin").read_bytes()
    assert (tmp_path / "part/hello.txt").read_text() == "hello"
    client.folders.remove_entries("x", "in", recursive=True)
    with pytest.raises(NotFound):
        client.folders.pull("x", tmp_path / "nope", "in/here")
    with pytest.raises(NotFound):
        client.folders.push("nope", tree)


@pytest.mark.anyio
async def test_the_asynchronous_client_does_the_same(server: Api, tree: Path, tmp_path: Path) -> None:
    async with AsyncClient(server.url, server.administrator.token.secret) as client:
        made = await client.folders.create("x", tree)
        await client.folders.pull(made.id, tmp_path / "out")
        assert same(tree, tmp_path / "out")
        assert [folder.name async for folder in client.folders.list()] == ["x"]
        digest = await client.sources.capture(tree)
        assert digest.startswith("blake3:")
        await client.folders.remove("x")
        with pytest.raises(NotFound):
            await client.folders.get("x")


def test_a_new_folder_appears_with_all_its_files(client: Client, server: Api, tree: Path, tmp_path: Path) -> None:
    """An upload that breaks off shows nothing; repeated, it goes on, and what is gone here is gone there."""

    class Cut(Exception):
        pass

    def cut(progress: Progress) -> None:
        if progress.bytes > 2_900_000:
            raise Cut

    (tree / "gone").mkdir()
    (tree / "gone/soon.bin").write_bytes(os.urandom(100))
    with pytest.raises(Cut):
        client.folders.create("x", tree, progress=cut)
    assert list(client.folders.list()) == []
    shutil.rmtree(tree / "gone")
    made = client.folders.create("x", tree)
    assert same(tree, folder_root(server, made.id))
    with pytest.raises(Conflict) as refused:
        client.folders.create("x", tree)
    assert refused.value.code == "folder-exists"


def test_links_that_lead_outside(client: Client, tree: Path, tmp_path: Path, outside: Path) -> None:
    client.folders.create("x")
    (tree / "sub/escape").symlink_to(outside / "secret")
    (tree / "sub/up2").symlink_to("../../outside")
    with pytest.raises(Invalid) as refused:
        client.folders.push("x", tree)
    assert refused.value.code == "link-outside"
    assert "escape" in str(refused.value)
    assert list(client.folders.entries("x")) == []
    pushed = client.folders.push("x", tree, skip_links=True)
    assert len(pushed.left_out) == 2
    client.folders.pull("x", tmp_path / "out")
    assert not (tmp_path / "out/sub/escape").is_symlink()


def test_a_pull_brings_no_link_that_leads_outside_and_writes_through_none(
    client: Client, server: Api, tmp_path: Path, outside: Path
) -> None:
    """The folder was filled by a job, which may have put anything into it."""
    made = client.folders.create("x")
    root = folder_root(server, made.id)
    (root / "passwd").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe")
    (root / "dir").mkdir()
    (root / "dir/file").write_text("x")
    out = tmp_path / "out"
    pulled = client.folders.pull("x", out)
    assert len(pulled.left_out) == 2
    assert snapshot(out).keys() == {"dir", "dir/file"}
    shutil.rmtree(out / "dir")
    (out / "dir").symlink_to(outside)
    with pytest.raises(Invalid) as refused:
        client.folders.pull("x", out)
    assert refused.value.code == "in-the-way"
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_ignore_files(client: Client, tmp_path: Path) -> None:
    top = tmp_path / "project"
    (top / "data").mkdir(parents=True)
    (top / "pkg/__pycache__").mkdir(parents=True)
    (top / ".git").mkdir()
    (top / "venv/bin").mkdir(parents=True)
    for name in ("a.py", "b.log", "data/x.csv", "data/keep.csv", "pkg/__pycache__/c.pyc", ".git/HEAD", "pkg/b.log"):
        (top / name).write_text(name)
    (top / "venv/pyvenv.cfg").touch()
    (top / ".gitignore").write_text("*.log\ndata/*\n!data/keep.csv\n")
    (top / "pkg/.daisignore").write_text("!b.log\n")
    (top / ".eaiignore").write_text("*.py\n")
    client.folders.create("x")
    client.folders.push("x", top)
    names = {entry.path for entry in client.folders.entries("x", recursive=True) if entry.kind == "file"}
    assert {"b.log", "data/x.csv", ".git/HEAD", ".gitignore"} <= names, "a folder is no git repository"
    assert "a.py" not in names
    (top / ".eaiignore").unlink()
    digest = client.sources.capture(top)
    inner = client.sources.capture(top / "pkg")
    assert digest != inner
    (top / "b.log").write_text("another")
    (top / "data/x.csv").write_text("another")
    assert client.sources.capture(top) == digest, "what is ignored does not count"
    (top / "pkg/b.log").write_text("another")
    assert client.sources.capture(top) != digest, "the inner file decides"


def test_a_source_is_captured_whole(client: Client, server: Api, tree: Path, tmp_path: Path) -> None:
    digest = client.sources.capture(tree)
    assert client.sources.capture(tree) == digest
    work = tmp_path / "work"
    work.mkdir()
    materialize(server.services.blobs, digest, work, uid=None, gid=None)
    assert same(tree, work)


def test_sources_that_are_most_probably_mistakes(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/project").mkdir(parents=True)
    for directory in (tmp_path / "home", tmp_path, Path("/")):
        with pytest.raises(Invalid) as refused:
            client.sources.capture(directory)
        assert refused.value.code == "source-is-home"
    assert client.sources.capture(tmp_path / "home/project")
    assert client.sources.capture(tmp_path / "home", allow_large=True)
    with (tmp_path / "home/project/model.bin").open("wb") as file:
        file.truncate(500_000_001)
    with pytest.raises(Invalid) as refused:
        client.sources.capture(tmp_path / "home/project")
    assert refused.value.code == "source-too-large"
    assert "model.bin" in str(refused.value)
    with pytest.raises(Invalid):
        client.sources.capture(tmp_path / "nope")


def test_names_that_cannot_be_carried_are_named(client: Client, tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / os.fsdecode(b"caf\xe9")).touch()
    client.folders.create("x")
    with pytest.raises(Invalid) as refused:
        client.folders.push("x", top)
    assert refused.value.code == "not-utf8"


def test_ten_thousand_small_files(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take some dozens of requests, not tens of thousands."""
    top = tmp_path / "many"
    for directory in range(100):
        (top / str(directory)).mkdir(parents=True)
        for file in range(100):
            (top / str(directory) / str(file)).write_bytes(b"%d" % (directory * file) * 100)
    requests = 0
    original = client.transport._http.send

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal requests
        requests += 1
        return original(*args, **kwargs)

    monkeypatch.setattr(client.transport._http, "send", counting)
    made = client.folders.create("x")
    assert client.folders.push("x", top).files == 10_000
    assert client.folders.push("x", top).skipped == 10_000
    assert client.folders.pull("x", tmp_path / "out").files == 10_000
    assert requests < 100
    assert client.folders.get(made.id, measured=True).files == 10_000
    assert same(top, tmp_path / "out")


class Process:
    """The server in a process of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = 0
        self.url = self.token = ""
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.integration.data.serve", str(self.data), str(self.port)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        self.url = words[0]
        self.token = words[1] if len(words) > 1 else self.token
        self.port = urlsplit(self.url).port or 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def killable(tmp_path: Path) -> object:
    data = tmp_path / "killable"
    data.mkdir()
    process = Process(data)
    yield process
    process.kill()


class KillOnce:
    """Kills the server when a transfer has come so far, and starts it anew."""

    def __init__(self, process: Process, at: int) -> None:
        self.process = process
        self.at = at
        self.lock = threading.Lock()
        self.killed = False

    def __call__(self, progress: Progress) -> None:
        with self.lock:
            if not self.killed and progress.bytes >= self.at:
                self.killed = True
                self.process.kill()
                self.process.start()


def test_transfers_go_on_when_the_server_is_killed(killable: Process, tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    for number in range(3):
        (top / f"large{number}").write_bytes(os.urandom(30_000_000))
    for number in range(200):
        (top / str(number)).write_bytes(os.urandom(50_000))
    with Client(killable.url, killable.token, patience=60) as client:
        made = client.folders.create("x")
        kill = KillOnce(killable, 45_000_000)
        client.folders.push("x", top, progress=kill)
        assert kill.killed
        assert same(top, killable.data / "folders" / made.id)
        kill = KillOnce(killable, 45_000_000)
        client.folders.pull("x", tmp_path / "out", progress=kill)
        assert kill.killed
        assert same(top, tmp_path / "out")


PUSHER = """
import sys
from dais import Client
def tell(progress):
    if progress.bytes > 40_000_000:
        print("far enough", flush=True)
        sys.stdin.readline()
with Client() as client:
    getattr(client.folders, sys.argv[1])("x", sys.argv[2], progress=tell)
"""


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_an_interrupted_client_goes_on_where_it_was(
    client: Client, server: Api, tmp_path: Path, direction: str
) -> None:
    """Killed in the midst of a large file, and called again: what has come does not come again."""
    top, out = tmp_path / "top", tmp_path / "out"
    top.mkdir()
    (top / "large").write_bytes(os.urandom(100_000_000))
    made = client.folders.create("x")
    if direction == "pull":
        client.folders.push("x", top)
    place = str(top if direction == "push" else out)
    environment = {**os.environ, "DAIS_URL": server.url, "DAIS_TOKEN": server.administrator.token.secret}
    process = subprocess.Popen(
        [sys.executable, "-c", PUSHER, direction, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"far enough\n"
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    target = folder_root(server, made.id) if direction == "push" else out
    assert not (target / "large").exists(), "no half file is seen"
    done = client.folders.push("x", top) if direction == "push" else client.folders.pull("x", out)
    assert 0 < done.bytes <= 80_000_000, "some of what was sent may have been on its way still"
    assert same(top, target)


def test_a_file_that_changed_between_two_pulls_begins_anew(client: Client, server: Api, tmp_path: Path) -> None:
    class Cut(Exception):
        pass

    def cut(progress: Progress) -> None:
        if progress.bytes > 10_000_000:
            raise Cut

    made = client.folders.create("x")
    place = folder_root(server, made.id) / "large"
    place.write_bytes(os.urandom(30_000_000))
    with pytest.raises(Cut):
        client.folders.pull("x", tmp_path / "out", progress=cut)
    place.write_bytes(os.urandom(30_000_000))  # the job goes on writing
    client.folders.pull("x", tmp_path / "out")
    assert same(place.parent, tmp_path / "out")


def test_damage_on_the_way_is_seen(
    client: Client, server: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header tells another digest than what comes: nothing is kept."""
    made = client.folders.create("x")
    (folder_root(server, made.id) / "large").write_bytes(os.urandom(2_000_000))
    original = client.transport._http.send

    def damaging(*args: Any, **kwargs: Any) -> Any:
        answer: Any = original(*args, **kwargs)
        if "dais-digest" in answer.headers:
            answer._content = b"x" + answer.content[1:]
        return answer

    monkeypatch.setattr(client.transport._http, "send", damaging)
    with pytest.raises(DaisError) as seen:
        client.folders.pull("x", tmp_path / "out")
    assert seen.value.code == "digest-mismatch"
    assert snapshot(tmp_path / "out") == {}
