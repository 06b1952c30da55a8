"""The program that starts apps inside jobs, run as a job would have it: each action, and how an app's end is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dais.compute import read_definition
from dais.compute.apps.inside import source
from dais.node.inside import keeper
from tests.support.supervisor import until

PATIENCE = 30
SERVER = """\
import http.server, os, signal, sys
def leave(*_):
    sys.exit(3)
signal.signal(signal.SIGTERM, leave)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["SAID"].encode())
    def log_message(self, *words):
        pass
http.server.HTTPServer(("127.0.0.1", {ports[0]}), Handler).serve_forever()
"""
DEFINITION: dict[str, Any] = {
    "prestart": [
        {"action": "log", "args": {"body": "for {runtime_path}"}},
        {"action": "mkdir", "args": {"path": "{home}/a/b"}},
        {"action": "mkdir", "args": {"path": "{home}/a/b"}},
        {"action": "write_file", "args": {"body": ["one {{1}}\n", "two\n"], "filename": "{home}/a/b/c", "mode": "640"}},
        {"action": "write_file", "args": {"body": ["three\n"], "filename": "{home}/a/b/c", "append": True}},
        {"action": "write_tempfile", "args": {"body": [SERVER], "mode": "600"}, "ref": "server"},
        {"action": "run_command", "args": {"command": ["wc", "-l", "{home}/a/b/c"]}, "ref": "counted"},
        {"action": "log", "args": {"body": "lines: {counted[out]}", "debug": True}},
    ],
    "command": ["{runtime_path}", "{server}"],
    "env": {"SAID": "{counted[out]}{environ[MARK]}"},
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where the program keeps what it knows; the app is ended afterwards."""
    directory = tmp_path / "apps"
    yield directory
    for state in directory.glob("*/state"):
        keeper.end_rest(json.loads(state.read_text()))


def begin(place: Path, definition: dict[str, Any], seconds: float = PATIENCE) -> dict[str, Any]:
    """Ask the program to start an app of this definition; what it answers."""
    home = place.parent / "home"
    home.mkdir(exist_ok=True)
    read = read_definition(json.dumps(definition), "board")
    request = {
        "do": "start",
        "name": "board",
        "directory": str(place),
        "definition": {"prestart": read.prestart, "command": read.command, "env": read.env},
        "ports": [0],
        "shared": [22_000, 23_000],
        "secret": "",
        "runtime_path": sys.executable,
        "programs": {},
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source()],
        input=msgspec.json.encode(request),
        cwd=home,
        env=os.environ | {"MARK": "!"},
        capture_output=True,
        timeout=2 * PATIENCE,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_every_action_is_done_in_its_order(place: Path) -> None:
    answer = begin(place, DEFINITION)
    assert "problem" not in answer, answer
    home = place.parent / "home"
    written = home / "a" / "b" / "c"
    assert written.read_text() == "one {1}\ntwo\nthree\n"
    assert written.stat().st_mode & 0o777 == 0o755  # of the last action that wrote it
    (server,) = (place / "board").glob("*.py")
    assert server.stat().st_mode & 0o777 == 0o600
    with urllib.request.urlopen(f"http://127.0.0.1:{answer['ports'][0]}/", timeout=PATIENCE) as page:
        assert page.read() == f"3 {written}\n!".encode()
    assert (place / "board" / "log").read_text() == f"for {sys.executable}\ndebug: lines: 3 {written}\n"


FAILING: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "a command that fails": (
        [{"action": "run_command", "args": {"command": ["sh", "-c", "echo no >&2; exit 4"]}}],
        "prestart[0] (run_command): sh ended with 4",
        "no\n",
    ),
    "a program that is not there": (
        [{"action": "run_command", "args": {"command": ["no-such-program"]}}],
        "prestart[0] (run_command): [Errno 2] No such file or directory: 'no-such-program'",
        "",
    ),
    "a place that is not there": (
        [
            {"action": "log", "args": {"body": "first"}},
            {"action": "write_file", "args": {"body": [], "filename": "{home}/x/y"}},
        ],
        "prestart[1] (write_file): [Errno 2] No such file or directory",
        "first\n",
    ),
    "a variable that is not there": (
        [{"action": "log", "args": {"body": "{environ[NO_SUCH]}"}}],
        "prestart[0] (log): '{environ[NO_SUCH]}' cannot be filled: 'NO_SUCH'",
        "",
    ),
}


@pytest.mark.parametrize("case", FAILING)
def test_an_action_that_fails_is_named_with_what_it_said(place: Path, case: str) -> None:
    prestart, words, output = FAILING[case]
    answer = begin(place, {"prestart": prestart, "command": ["true"]})
    assert answer["problem"] == "failed"
    assert answer["message"].startswith(words)
    assert answer["output"] == output
    assert not (place / "board" / "state").exists()


def test_one_that_never_listens_runs_on_and_one_that_cannot_run_says_so(place: Path) -> None:
    silent = begin(place, {"command": ["sh", "-c", "echo here; exec sleep 600"]}, seconds=1)
    assert (silent["problem"], silent["output"]) == ("silent", "here\n")
    found = keeper.state_of(str(place / "board"))
    assert found is not None
    assert found["running"]
    os.kill(found["pid"], signal.SIGKILL)
    answer = begin(place, {"command": ["no-such-program"]})
    assert answer == {"problem": "ended", "exit_code": 127, "output": "no-such-program: No such file or directory\n"}


def test_the_end_is_told_once_its_keeper_has_noted_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "problem" not in begin(place, DEFINITION)
    board = str(place / "board")
    state = keeper.state_of(board)
    assert state is not None
    os.kill(state["keeper"], signal.SIGSTOP)
    os.kill(state["pid"], signal.SIGTERM)
    until(lambda: keeper.began(state["pid"]) is None, "it has ended")
    pause: Callable[[float], None] = time.sleep

    def awake(seconds: float) -> None:
        os.kill(state["keeper"], signal.SIGCONT)
        pause(seconds)

    monkeypatch.setattr(time, "sleep", awake)
    ended = keeper.state_of(board)
    assert ended is not None
    assert (ended["running"], ended["exit_code"]) == (False, 3)
    assert "problem" not in begin(place, DEFINITION)


def test_the_last_words_are_kept_before_the_end_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = keeper.write_end

    def seen(place: str, status: int) -> None:  # in the keeper: it is this process's child
        (tmp_path / "seen").write_text(keeper.last(place, keeper.KEPT))
        note(place, status)

    class Late(keeper.Log):
        """A keeper that comes to look only when all has happened."""

        def __init__(self, path: str) -> None:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            super().__init__(path)

    monkeypatch.setattr(keeper, "write_end", seen)
    monkeypatch.setattr(keeper, "Log", Late)
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    words = "x" * 9_000 + " last words"
    # What it leaves behind holds its output open, and may print later.
    script = f"sleep 600 & echo $! > {tmp_path}/left; echo {words}; exit 3"
    keeper.keep(["sh", "-c", script], dict(os.environ), str(tmp_path), lock)
    until(lambda: keeper.end_of(str(tmp_path)) == 3, "its end is noted")
    os.close(lock)
    os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
    assert (tmp_path / "seen").read_text() == words + "\n"
