"""`dais folder`, as people type it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.data.conftest import same
from tests.support.serving import Api

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def dais(server: Api, tmp_path: Path) -> Run:
    """Runs a command in a directory of its own."""
    environment = {**os.environ, "DAIS_URL": server.url, "DAIS_TOKEN": server.administrator.token.secret}
    (tmp_path / "here").mkdir()

    def run(*words: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dais", *words],
            env=environment,
            cwd=tmp_path / "here",
            capture_output=True,
            text=True,
            check=False,
            input=answer,
        )

    return run


def said(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_a_folders_life(dais: Run, tree: Path, tmp_path: Path) -> None:
    made = said(dais("folder", "new", "x", str(tree), "--field", "id")).strip()
    assert json.loads(said(dais("data", "get", "x", "--json")))["files"] == 6
    assert made in said(dais("folder", "ls"))
    assert said(dais("folder", "push", "x", str(tree))) == "sent 0 files (0 B), 6 there already\n"
    pushed = json.loads(said(dais("folder", "push", "x", f"{tree}/hello.txt:in/greeting", "--json")))
    assert (pushed["files"], pushed["left_out"]) == (1, [])
    assert said(dais("folder", "content", "ls", "x", "in", "--field", "path")) == "in/greeting\n"
    assert said(dais("folder", "content", "ls", "x/in", "--fields", "size", "--no-header")) == "5 B\n"
    said(dais("folder", "content", "rm", "x", "in", "-r"))
    assert "fetched 6 files" in said(dais("folder", "pull", "x", "out"))
    assert same(tree, tmp_path / "here/out")
    said(dais("folder", "pull", "x", "sub/deep/data.bin", "./mine.bin"))
    assert (tmp_path / "here/mine.bin").read_bytes() == (tree / "sub/deep/data.bin").read_bytes()
    refused = dais("folder", "rm", "x", answer="n\n")
    assert refused.returncode != 0
    said(dais("folder", "rm", "x", "--yes"))
    assert made not in said(dais("folder", "ls"))


def test_what_is_wrong_is_said_in_a_line_and_what_to_do(dais: Run, tree: Path, outside: Path) -> None:
    said(dais("folder", "new", "digits"))
    (tree / "escape").symlink_to(outside)
    for words, expected in (
        (("get", "digit"), "did you mean digits?"),
        (("new", "digits"), "already"),
        (("new", "a b"), "cannot name a folder"),
        (("push", "digits", "nowhere"), "nowhere"),
        (("push", "digits", str(tree)), "--skip-links"),
        (("push", "digits", f"{tree}:../x"), "`..`"),
        (("pull", "digits", "nope", "."), "nope"),
        (("content", "rm", "digits", "nope"), "nope"),
        (("ls", "--account", "nobody"), "nobody"),
        (("lss",), "ou mean 'ls'"),
    ):
        finished = dais("folder", *words)
        assert finished.returncode in (1, 2), words
        assert expected in finished.stderr, (words, finished.stderr)
        assert "Traceback" not in finished.stderr
        assert len(finished.stderr.splitlines()) <= 3
    assert "left out" in dais("folder", "push", "digits", str(tree), "--skip-links").stderr


def test_progress_is_shown_on_a_terminal_only(dais: Run, server: Api, tree: Path) -> None:
    said(dais("folder", "new", "x"))
    assert dais("folder", "push", "x", str(tree)).stderr == ""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "DAIS_URL": server.url, "DAIS_TOKEN": server.administrator.token.secret}
    environment |= {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-m", "dais", "folder", "push", "x", str(tree)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
    os.close(ours)
    assert process.wait() == 0
    assert b"push x" in shown
    assert b"6/6 files" in shown
