"""The keeper: signals through, exit codes back, and next to nothing taken from the server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.needs import needs_root

KEEP = """
import os, signal, socket, sys
from pathlib import Path
from dais.app.keeper import Keeper
signals = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
child = os.fork()
if child == 0:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    os.execvp("sh", ["sh", "-c", sys.argv[2]])
sys.exit(Keeper(child, socket.socket(fileno=int(sys.argv[1])), signals, Path(sys.argv[3]), "no lease").run())
"""
"""A keeper of a shell command that stands for the server."""


class Kept:
    """A keeper in a process of its own, and the server's end of its connection."""

    def __init__(self, command: str, place: Path) -> None:
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.line.settimeout(30)
        arguments = [sys.executable, "-c", KEEP, str(theirs.fileno()), command, str(place / "node")]
        environment = {**os.environ, "DAIS_CONFIG_DIR": str(place)}
        self.process = subprocess.Popen(
            arguments, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, env=environment, cwd="/"
        )
        theirs.close()

    def ask(self, request: Any) -> dict[str, Any]:
        self.line.send(request if isinstance(request, bytes) else json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(self.line.recv(1 << 16))
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.line.close()


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Callable[[str], Kept]]:
    made: list[Kept] = []

    def one(command: str) -> Kept:
        made.append(Kept(command, tmp_path))
        return made[-1]

    yield one
    for kept in made:
        kept.close()


def test_the_exit_code_and_the_signal_are_the_server_s(keep: Callable[[str], Kept]) -> None:
    assert keep("exit 3").process.wait(30) == 3
    assert keep("exit 0").process.wait(30) == 0
    assert keep("kill -9 $$").process.wait(30) == -9
    assert keep("kill -6 $$").process.wait(30) == -6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_the_server(keep: Callable[[str], Kept], number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    kept = keep(f"trap 'exit 7' {name}; echo ready; while :; do sleep 0.02; done")
    assert kept.process.stdout is not None
    assert kept.process.stdout.readline() == b"ready\n"
    kept.process.send_signal(number)
    assert kept.process.wait(30) == 7


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "shell", "argv": ["id"]},
        {"op": "supervisors"},
        {},
        [],
        None,
        b"no JSON",
        b"\xff\xfe",
        {"op": ["supervisor"]},
        {"op": "profile"},
        {"op": "profile", "name": "x"},
    ],
)
def test_anything_else_is_refused_and_it_goes_on(keep: Callable[[str], Kept], request_: Any) -> None:
    kept = keep("sleep 1000")
    assert "no such request" in kept.ask(request_)["error"]
    assert kept.ask({"op": "ready"}) == {}
    assert kept.process.poll() is None


def test_a_profile_is_written_until_the_server_is_ready_and_never_over_another_server_s(
    keep: Callable[[str], Kept], tmp_path: Path
) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text('[default]\nurl = "https://dais.example.org"\ntoken = "theirs"\n')
    kept = keep("sleep 1000")
    profile = {"op": "profile", "url": "http://localhost:1", "token": "ours", "account": "local.root"}
    assert "for another server" in kept.ask({**profile, "name": "default"})["error"]
    assert kept.ask({**profile, "name": "local"}) == {"path": str(file)}
    assert "theirs" in file.read_text()
    assert "ours" in file.read_text()
    kept.ask({"op": "ready"})
    assert "no such request" in kept.ask({**profile, "name": "local", "token": "later"})["error"]
    assert "later" not in file.read_text()


def test_the_supervisor_is_started_where_it_is_known_to_be_and_nowhere_else(
    keep: Callable[[str], Kept], tmp_path: Path
) -> None:
    needs_root()
    kept = keep("sleep 1000")
    answer = kept.ask({"op": "supervisor", "path": "/etc", "node_dir": "/etc", "lease": "1:1:1000:1", "python": "sh"})
    assert str(tmp_path / "node") in answer["error"]  # which nobody has laid out
    assert not Path("/etc/supervisor.log").exists()
