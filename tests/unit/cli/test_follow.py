"""`dais run`, `dais job logs` and `dais job exec` as processes of their own: signals, streams, exit codes."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dais.cli.jobs.follow import exit_code
from dais.wire.answers import JobDetail
from tests.support.tiny_api import Asked, Reply, TinyApi, events, frame, job, json, tiny_api
from tests.support.tiny_api import run as a_run

PATIENCE = 30.0
ID = job()["id"]


@pytest.fixture
def api() -> Iterator[TinyApi]:
    with tiny_api() as tiny:
        tiny.on("POST", "/v1/jobs", json(job("PENDING"), 201))
        tiny.on("GET", f"/v1/jobs/{ID}", json(job()))
        yield tiny


def start(api: TinyApi, *line: str, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "DAIS_URL": api.url, "DAIS_TOKEN": "x", "PYTHONPATH": "src"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-m", "dais", *line], env=environment, **{**pipes, **options})


def finish(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    out, err = process.communicate(timeout=PATIENCE)
    assert b"Traceback" not in err
    return process.returncode, out, err


def read_until(stream: Any, words: bytes) -> bytes:
    """What the process printed, up to and with these words."""
    seen = b""
    while words not in seen:
        ready, _, _ = select.select([stream], [], [], PATIENCE)
        assert ready, f"{words!r} was not printed: {seen!r}"
        piece = os.read(stream.fileno(), 65536)
        assert piece, f"it ended without {words!r}: {seen!r}"
        seen += piece
    return seen


def test_run_prints_what_the_job_prints_and_exits_with_its_code(api: TinyApi) -> None:
    api.on(
        "GET",
        f"/v1/jobs/{ID}/logs/stream",
        lambda _: events(
            ("log", frame("out\n"), "1"),
            ("log", frame("err\n", "stderr"), "2"),
            ("log", {**frame("/wD+"), "encoding": "base64"}, "3"),
            ("log", frame("cut\x1b[2J here", "system"), "4"),
            ("end", job("FAILED", exit_code=3, reason="exit-code"), None),
        ),
    )
    code, out, err = finish(start(api, "run", "--no-source", "--", "python", "train.py"))
    assert code == 3
    assert out == b"out\n\xff\x00\xfe"
    assert b"err\n" in err
    assert b"dais: cut\\x1b[2J here" in err
    assert b"FAILED, exit code 3" in err


def test_one_interrupt_leaves_the_job_running(api: TinyApi) -> None:
    api.on("GET", f"/v1/jobs/{ID}/logs/stream", lambda _: events(("log", frame("on\n"), "1"), held=True))
    process = start(api, "run", "--no-source", "--", "x")
    assert read_until(process.stdout, b"on\n") == b"on\n"
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert b"goes on" in err
    assert b"dais job logs -f train" in err
    assert not any(path.endswith("/kill") for path in api.paths())


def test_two_interrupts_kill_the_job_and_following_goes_on_to_its_end(api: TinyApi) -> None:
    killed = threading.Event()

    def kill(_: Asked) -> Reply:
        killed.set()
        return Reply(job(cancel_requested=True))

    async def pieces() -> AsyncIterator[bytes]:
        yield b"id: 1\nevent: log\ndata: " + msgspec.json.encode(frame("on\n")) + b"\n\n"
        assert await asyncio.to_thread(killed.wait, PATIENCE)
        yield b"id: 2\nevent: log\ndata: " + msgspec.json.encode(frame("off\n")) + b"\n\n"
        ended = job("CANCELLED", reason="user-request", runs=[a_run(signal=15)])
        yield b"event: end\ndata: " + msgspec.json.encode(ended) + b"\n\n"

    api.on("GET", f"/v1/jobs/{ID}/logs/stream", lambda _: Reply(pieces=pieces))
    api.on("POST", f"/v1/jobs/{ID}/kill", kill)
    process = start(api, "run", "--no-source", "--", "x")
    assert read_until(process.stdout, b"on\n") == b"on\n"
    process.send_signal(signal.SIGINT)
    read_until(process.stderr, b"again kills it")
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert (code, out) == (143, b"off\n")
    assert b"CANCELLED" in err


def test_an_interrupt_of_logs_leaves_quietly(api: TinyApi) -> None:
    api.on("GET", "/v1/jobs/last/logs/stream", lambda _: events(("log", frame("on\n"), "1"), held=True))
    process = start(api, "job", "logs", "-f", "--last")
    read_until(process.stdout, b"on\n")
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 0
    assert b"the job goes on" in err


def test_a_reader_that_goes_away_is_no_failure(api: TinyApi) -> None:
    page = {"frames": [frame("x" * 100_000 + "\n")] * 50, "cursor": "1", "eof": True}
    api.on("GET", "/v1/jobs/last/logs", json(page))
    process = start(api, "job", "logs", "--last")
    assert process.stdout is not None
    read_until(process.stdout, b"x")
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(PATIENCE) in (1, 141)


def ended(state: str, **fields: Any) -> JobDetail:
    return msgspec.convert(job(state, **fields), JobDetail)


@pytest.mark.parametrize(
    "state, fields, code",
    [
        ("SUCCEEDED", {"exit_code": 0}, 0),
        ("FAILED", {"exit_code": 7, "reason": "exit-code"}, 7),
        ("FAILED", {"reason": "signal", "runs": [a_run(signal=11)]}, 139),
        ("FAILED", {"reason": "out-of-memory", "runs": [a_run(signal=9)]}, 137),
        ("FAILED", {"reason": "time-limit", "exit_code": 0}, 124),
        ("FAILED", {"reason": "command-not-found"}, 127),
        ("FAILED", {"reason": "node-lost"}, 125),
        ("FAILED", {"reason": "staging-failed"}, 125),
        ("FAILED", {"reason": "disk-full"}, 125),
        ("FAILED", {"reason": "preparation-timeout"}, 125),
        ("FAILED", {"reason": "environment-failed"}, 1),
        ("CANCELLED", {"reason": "user-request"}, 130),
        ("CANCELLED", {"reason": "user-request", "runs": [a_run(signal=15)]}, 143),
    ],
)
def test_exit_codes_tell_how_it_ended(state: str, fields: dict[str, Any], code: int) -> None:
    assert exit_code(ended(state, **fields)) == code


class Shell:
    """Answers exec requests by real processes, as a job would."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.sizes: list[dict[str, int]] = []
        self.signals: list[str] = []

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        message = await receive()
        request = msgspec.json.decode(message.get("text") or message["bytes"])
        self.started.append(request)
        if request["argv"][0] == "refuse":
            await self._say(send, 0, msgspec.json.encode({"error": "not-running", "message": "it does not run"}))
            return
        process = await asyncio.create_subprocess_exec(
            *request["argv"], stdin=-1, stdout=-1, stderr=-1, env={**os.environ, **request.get("env", {})}
        )
        await self._say(send, 0, b'{"ok":true}')
        inward = asyncio.ensure_future(self._inward(process, receive))
        await asyncio.gather(self._outward(process.stdout, 1, send), self._outward(process.stderr, 2, send))
        await self._say(send, 3, msgspec.json.encode({"exit_code": await process.wait()}))
        await send({"type": "websocket.close"})
        inward.cancel()
        await asyncio.gather(inward, return_exceptions=True)

    async def _inward(self, process: Any, receive: Any) -> None:
        while (message := await receive())["type"] == "websocket.receive":
            kind, payload = message["bytes"][0], message["bytes"][1:]
            if kind == 0:
                process.stdin.write(payload)
                await process.stdin.drain()
            elif kind == 1:
                process.stdin.close()
            elif kind == 2:
                self.sizes.append(msgspec.json.decode(payload))
            else:
                self.signals.append(payload.decode())
                process.send_signal(getattr(signal, f"SIG{payload.decode()}"))
        if process.returncode is None:
            process.kill()

    async def _outward(self, stream: Any, kind: int, send: Any) -> None:
        while piece := await stream.read(65536):
            await self._say(send, kind, piece)

    async def _say(self, send: Any, kind: int, payload: bytes) -> None:
        await send({"type": "websocket.send", "bytes": bytes((kind,)) + payload})


@pytest.fixture
def shell(api: TinyApi) -> Shell:
    api.sockets = shell = Shell()
    return shell


def test_exec_carries_input_output_and_the_exit_code(api: TinyApi, shell: Shell) -> None:
    process = start(api, "job", "exec", "--last", "-e", "A=b", "--", "bash", "-s", stdin=subprocess.PIPE)
    out, err = process.communicate(b'echo "out $A"; echo err >&2; exit 9\n', timeout=PATIENCE)
    assert (process.returncode, out, err) == (9, b"out b\n", b"err\n")
    assert shell.started[0]["argv"] == ["bash", "-s"]


def test_exec_in_a_named_job_with_options_on_both_sides(api: TinyApi, shell: Shell) -> None:
    code, out, _ = finish(start(api, "job", "exec", "train", "-T", "--", "echo", "--", "-x"))
    assert (code, out) == (0, b"-- -x\n")
    code, out, _ = finish(start(api, "job", "exec", "train", "echo", "-n", "hi"))
    assert (code, out) == (0, b"hi")


def test_exec_that_is_refused(api: TinyApi, shell: Shell) -> None:
    code, _, err = finish(start(api, "job", "exec", "--last", "--", "refuse"))
    assert (code, err) == (125, b"error: it does not run\n")


def test_an_interrupt_goes_to_the_command(api: TinyApi, shell: Shell) -> None:
    script = "trap 'echo caught; exit 5' INT; echo ready; while :; do read -t 1 || true; done"
    process = start(api, "job", "exec", "--last", "--", "bash", "-c", script)
    read_until(process.stdout, b"ready\n")
    process.send_signal(signal.SIGINT)
    code, out, _ = finish(process)
    assert (code, out) == (5, b"caught\n")
    assert shell.signals == ["INT"]


def test_large_input_and_output_come_through_whole(api: TinyApi, shell: Shell, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    path = tmp_path / "data"
    path.write_bytes(data)
    with path.open("rb") as source:
        code, out, _ = finish(start(api, "job", "exec", "--last", "--", "cat", stdin=source))
    assert code == 0
    assert out == data


def test_the_terminal_is_raw_while_it_lasts_and_told_of_its_size(api: TinyApi, shell: Shell) -> None:
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    before = termios.tcgetattr(slave)
    process = start(api, "job", "exec", "--last", "--", "bash", "-c", "echo ready; read -r x; echo $x; exit 6",
                    stdin=slave, stdout=slave, stderr=slave, start_new_session=True)  # fmt: skip
    try:
        with os.fdopen(master, "rb", buffering=0) as terminal:
            read_until(terminal, b"ready")
            assert not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON)
            assert shell.started[0]["pty"]["rows"] == 30
            assert shell.started[0]["pty"]["cols"] == 90
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
            process.send_signal(signal.SIGWINCH)
            _until(lambda: {"rows": 50, "cols": 132} in shell.sizes)
            os.write(terminal.fileno(), b"hello\n")
            read_until(terminal, b"hello")
            assert process.wait(PATIENCE) == 6
            assert termios.tcgetattr(slave) == before
    finally:
        process.kill()
        process.wait()
        os.close(slave)


def test_who_follows_the_log_of_a_job_that_waits_is_told_why(api: TinyApi) -> None:
    import pty

    api.on("GET", f"/v1/jobs/{ID}", json(job("PENDING", pending_reason="needs 1 cpu, 0 of 2 free")))
    api.on("GET", f"/v1/jobs/{ID}/logs/stream", lambda _: events(held=True))
    master, slave = pty.openpty()
    process = start(api, "job", "logs", "-f", ID, stderr=slave, start_new_session=True)
    try:
        with os.fdopen(master, "rb", buffering=0) as terminal:
            read_until(terminal, b"needs 1 cpu, 0 of 2 free")
    finally:
        process.kill()
        process.communicate()
        os.close(slave)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_terminal_is_put_back_when_we_are_ended(api: TinyApi, shell: Shell, number: signal.Signals) -> None:
    import pty
    import termios

    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = start(api, "job", "exec", "--last", "--", "bash", "-c", "echo ready; sleep 60",
                    stdin=slave, stdout=slave, stderr=slave, start_new_session=True)  # fmt: skip
    try:
        with os.fdopen(master, "rb", buffering=0) as terminal:
            read_until(terminal, b"ready")
            process.send_signal(number)
            assert process.wait(PATIENCE) == 128 + number
            assert termios.tcgetattr(slave) == before
    finally:
        process.kill()
        process.wait()
        os.close(slave)


def test_files_go_there_and_back(api: TinyApi, shell: Shell, tmp_path: Path) -> None:
    tree, there, back = tmp_path / "tree", tmp_path / "there", tmp_path / "back"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "run.sh").write_bytes(b"#!/bin/sh\n")
    (tree / "sub" / "run.sh").chmod(0o755)
    (tree / "big").write_bytes(os.urandom(300_000))
    (tree / "inside").symlink_to("sub/run.sh")
    assert finish(start(api, "job", "cp", str(tree), f"train:{there}"))[0] == 0
    (there / "outside").symlink_to("/etc/hostname")
    code, _, err = finish(start(api, "job", "cp", f"train:{there}", str(back)))
    assert code == 0
    assert b"left out" in err
    assert (back / "big").read_bytes() == (tree / "big").read_bytes()
    assert os.access(back / "sub" / "run.sh", os.X_OK)
    assert (back / "inside").readlink() == Path("sub/run.sh")
    assert not os.path.lexists(back / "outside")
    assert sorted(p.name for p in back.iterdir()) == ["big", "inside", "sub"]


def test_copying_into_a_directory_and_what_is_not_there(api: TinyApi, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    (tmp_path / "into").mkdir()
    assert finish(start(api, "job", "cp", str(tmp_path / "one"), f"train:{tmp_path}/into"))[0] == 0
    assert (tmp_path / "into" / "one").read_text() == "1"
    code, _, err = finish(start(api, "job", "cp", "train:/no/such/file", str(tmp_path)))
    assert code == 1
    assert b"the job's tar failed" in err
    code, _, err = finish(start(api, "job", "cp", str(tmp_path / "none"), "train:/tmp/x"))
    assert code == 1
    assert b"there is no file" in err


def _until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread will bring about."""
    looked = threading.Event()
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it has not happened"
        looked.wait(0.01)


def test_the_follower_of_a_gone_server_is_told_what_to_do(api: TinyApi, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", "/v1/jobs/none/logs/stream", lambda asked: _missing(asked))
    code, _, err = finish(start(api, "job", "logs", "-f", "none"))
    assert code == 1
    assert b"nothing is at" in err


def _missing(asked: Asked) -> Reply:
    from tests.support.tiny_api import problem

    return problem(404, "no-such-job", f"nothing is at {asked.path}")
