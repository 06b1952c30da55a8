"""Who may talk to the supervisor, and what it makes of what it hears."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from dais.node import MAX_FRAME, PROTOCOL, connect, start_supervisor
from dais.node.program import own_command
from tests.support.needs import needs_root
from tests.support.supervisor import PATIENCE, Closed, Control, Node, processes_with, until, wait_gone


def test_hello_tells_who_is_there(node: Node, control: Control) -> None:
    hello = control.hello
    assert hello["protocol"] == PROTOCOL
    assert hello["pid"] == node.pid()
    assert hello["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert len(hello["incarnation"]) == 36
    assert (hello["attempts"], hello["queued"]) == ({}, [])
    for name in ("bwrap", "user_namespace", "cgroup", "controllers", "uid_drop", "kernel"):
        assert hello["isolation"][name] not in (None, "")
    assert node.connect().hello["incarnation"] == hello["incarnation"]


def test_a_new_connection_fences_the_old_one(node: Node, control: Control) -> None:
    spec = node.spec("sleep", "1000")
    control.launch(spec)
    control.record(spec["attempt_id"], "started")
    second = node.connect()
    with pytest.raises(Closed):
        control.receive()
    assert second.hello["attempts"] == {spec["attempt_id"]: "running"}
    second.record(spec["attempt_id"], "started")
    second.send(op="stop", attempt_id=spec["attempt_id"], grace=0)
    assert second.record(spec["attempt_id"])["reason"] == "stopped"


def test_containers_go_on_without_a_server(node: Node, control: Control) -> None:
    fifo = node.directory.parent / "fifo"
    os.mkfifo(fifo, 0o666)
    fifo.chmod(0o666)
    spec = node.spec("sh", "-c", f"echo before; read line < {fifo}; echo $line; exit 6")
    control.launch(spec)
    node.wait_log(spec["attempt_id"], b"before")
    control.close()
    fifo.write_text("after\n")
    node.wait_log(spec["attempt_id"], b"after")
    assert node.connect().record(spec["attempt_id"])["exit_code"] == 6


def test_the_socket_is_private(node: Node, control: Control) -> None:
    assert control.hello
    assert stat.S_IMODE(node.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((node.directory / "supervisor.sock").stat().st_mode) == 0o600


def test_another_user_is_dropped(node: Node, control: Control) -> None:
    needs_root()
    # Even where the file modes would let it in.
    node.directory.chmod(0o777)
    (node.directory / "supervisor.sock").chmod(0o666)
    program = (
        f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(node.directory / 'supervisor.sock')!r}); "
        "print(s.recv(1))"
    )
    done = subprocess.run(["/usr/bin/python3", "-c", program], user=65534, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "b''" or "reset" in done.stderr
    control.sync()


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", MAX_FRAME + 1),
        b"\xff" * 100,
        struct.pack(">I", 4) + b"nope",
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 100_000) + b"[" * 100_000,
        struct.pack(">I", 0),
    ],
)
def test_what_is_no_frame_ends_that_connection_only(node: Node, control: Control, data: bytes) -> None:
    spec = node.spec("sleep", "1000")
    control.launch(spec)
    control.record(spec["attempt_id"], "started")
    stranger = node.connect(hello=False)
    stranger.send_raw(data)
    stranger.until_closed()
    control.sync()
    control.send_raw(data)
    control.until_closed()
    assert node.connect().hello["attempts"] == {spec["attempt_id"]: "running"}


def test_a_frame_may_come_in_pieces(node: Node, control: Control) -> None:
    body = json.dumps({"op": "ping"}).encode()
    for byte in struct.pack(">I", len(body)) + body:
        control.send_raw(bytes([byte]))
    control.answer("pong")


def test_a_large_frame_is_taken(node: Node, control: Control) -> None:
    spec = node.spec("true", ignored="x" * (10 << 20))
    assert control.run(spec)["exit_code"] == 0


def test_a_server_of_the_version_before_is_understood_and_told_ours(node: Node, control: Control) -> None:
    older = node.connect(hello=False)
    older.send(op="hello", protocol=PROTOCOL - 1)
    hello = older.receive()
    assert (hello["op"], hello["protocol"]) == ("hello", PROTOCOL)


def test_another_protocol_is_refused_with_ours(node: Node, control: Control) -> None:
    stranger = node.connect(hello=False)
    stranger.send(op="hello", protocol=99)
    refusal = stranger.receive()
    assert (refusal["op"], refusal["code"]) == ("error", "protocol")
    assert "99" in refusal["message"]
    with pytest.raises(Closed):
        stranger.receive()
    control.sync()


def test_bad_requests_are_answered_and_the_connection_stays(node: Node, control: Control) -> None:
    for message in (
        {"op": "dance"},
        {"op": "launch"},
        {"op": "launch", "specs": [7]},
        {"op": "launch", "specs": [{"attempt_id": "../escape", "argv": ["true"]}]},
        {"op": "launch", "specs": [{"attempt_id": "", "argv": ["true"]}]},
        {"op": "ack", "seq": "x"},
        {"op": "stop", "attempt_id": "x", "grace": "soon"},
        {"op": "forget"},
    ):
        control.send(**message)
        assert control.answer("error")["message"]
    control.send(op="stop", attempt_id="unknown")
    control.send(op="forget", attempt_ids=["unknown", 7, None])
    control.send(op="usage", attempt_ids=["unknown"])
    assert control.answer("usage")["usage"] == {}


def test_usage_of_what_runs(node: Node, control: Control, isolation: str) -> None:
    program = "x = b'x' * (50 << 20); print('up', flush=True); import time; time.sleep(1000)"
    spec = node.spec("python3", "-c", program, isolation=isolation)
    control.launch(spec)
    node.wait_log(spec["attempt_id"], b"up")
    control.send(op="usage", attempt_ids=[spec["attempt_id"]])
    usage = control.answer("usage")["usage"][spec["attempt_id"]]
    assert usage["memory"] >= 45 << 20
    assert usage["cpu_seconds"] >= 0
    assert usage["pids"] == 1


def test_forget_removes_the_output_of_what_has_ended(node: Node, control: Control) -> None:
    ended, running = node.spec("echo", "x"), node.spec("sh", "-c", "echo x; sleep 1000")
    control.launch(running)
    control.run(ended)
    node.wait_log(running["attempt_id"], b"x")
    assert node.log(ended["attempt_id"]) == b"x\n"
    control.send(op="forget", attempt_ids=[ended["attempt_id"], running["attempt_id"]])
    control.sync()
    assert sorted(path.name for path in (node.directory / "attempts").iterdir()) == [running["attempt_id"]]
    assert node.connect().hello["attempts"] == {running["attempt_id"]: "running"}


def test_two_supervisors_of_one_directory_are_one(node: Node, control: Control) -> None:
    start_supervisor(str(node.directory))
    until(lambda: len([pid for pid in processes_with(b"--detach") if _serves(pid, node)]) == 1, "the second has left")
    control.sync()
    assert node.connect().hello["incarnation"] == control.hello["incarnation"]


def _serves(pid: int, node: Node) -> bool:
    try:
        return str(node.directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_shutdown_waits_for_containers_unless_told_to_kill(node: Node, control: Control) -> None:
    spec = node.spec("sleep", "1000")
    control.launch(spec)
    control.record(spec["attempt_id"], "started")
    control.send(op="shutdown")
    assert control.answer("error")["code"] == "busy"
    fd = os.pidfd_open(node.pid())
    control.send(op="shutdown", kill=True)
    ended = control.record(spec["attempt_id"])
    assert (ended["reason"], ended["stop_reason"]) == ("stopped", "supervisor-shutdown")
    wait_gone(fd)
    # The record was not acknowledged: it is told again.
    assert node.start().record(spec["attempt_id"]) == ended


def test_an_idle_supervisor_ends_when_asked(node: Node, control: Control) -> None:
    control.run(node.spec("true"))
    fd = os.pidfd_open(node.pid())
    control.send(op="shutdown")
    wait_gone(fd)
    assert not (node.directory / "supervisor.sock").exists()


def test_a_long_directory_path_is_no_obstacle() -> None:
    top = Path(tempfile.mkdtemp(prefix="dais-long-"))
    top.chmod(0o711)
    deep = top
    for _ in range(4):
        deep /= "d" * 60
    made = Node(deep / "node")
    try:
        deep.mkdir(parents=True)
        control = made.start()
        assert control.run(made.spec("true"))["exit_code"] == 0
    finally:
        made.close()
        shutil.rmtree(top)


def test_too_many_at_once_are_refused(node: Node, control: Control) -> None:
    specs = [node.spec("true", user=number) for number in range(4200)]
    control.launch(*specs)
    ended: list[dict[str, Any]] = []
    while len(ended) < len(specs):
        control.answer("records")
        ended += [record for record in control.records if record["kind"] == "ended"]
        control.records.clear()
    refused = [record for record in ended if record["reason"] == "launch-failed"]
    assert len(refused) == 4200 - 4096
    assert "4096" in refused[0]["detail"]


def test_a_reader_that_never_reads_hurts_nobody(node: Node, control: Control) -> None:
    spec = node.spec("true")
    # Answers pile up unread; the supervisor must cut the connection rather than grow.
    control.sock.settimeout(0.05)
    unknown = json.dumps({"op": "x" * 100_000}).encode()
    frame = struct.pack(">I", len(unknown)) + unknown
    with pytest.raises(OSError, match=r"timed out|reset|Broken"):
        control.sock.sendall(frame * 2_000)
    fresh = node.connect()
    assert fresh.run(spec)["exit_code"] == 0


def test_the_program_needs_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; sys.path.insert(0, 'src'); from dais.node import program; "
        "print([name for name in sys.modules if name.split('.')[0] in ('msgspec', 'asyncio', 'subprocess', 'pathlib')])"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_connect_says_when_nobody_serves(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect(str(tmp_path))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "supervisor.sock"))
    with pytest.raises(ConnectionRefusedError):
        connect(str(tmp_path))


def test_it_ends_by_itself_when_nobody_needs_it(node: Node) -> None:
    node.directory.mkdir(mode=0o700)
    process = subprocess.Popen(own_command(str(node.directory), "--idle", "0.2"))
    with process:
        control = node.connect()
        ended = control.run(node.spec("true"))
        control.close()
        # There is a record that nobody has acknowledged: it is needed.
        control = node.connect()
        assert control.record(ended["attempt_id"]) == ended
        control.send(op="ack", seq=ended["seq"])
        control.sync()
        control.close()
        assert process.wait(PATIENCE) == 0
    assert not (node.directory / "supervisor.sock").exists()


def test_a_terminated_supervisor_ends_what_it_runs(node: Node, control: Control) -> None:
    spec = node.spec("sleep", "1000")
    control.launch(spec)
    control.record(spec["attempt_id"], "started")
    fd = os.pidfd_open(node.pid())
    os.kill(node.pid(), signal.SIGTERM)
    assert control.record(spec["attempt_id"])["stop_reason"] == "supervisor-shutdown"
    wait_gone(fd)


def test_one_bad_id_spoils_the_whole_batch_before_it_begins(node: Node, control: Control) -> None:
    good = node.spec("true")
    control.launch(good, {**node.spec("true"), "attempt_id": "a/b"})
    assert "a/b" in control.answer("error")["message"]
    assert node.connect().hello["attempts"] == {}
    assert node.connect().run(good)["exit_code"] == 0


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13", "3.14"])
def test_it_runs_on_every_python(node: Node, isolation: str, version: str) -> None:
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode != 0:
        pytest.skip(f"no python{version} is installed here")
    real = subprocess.run(
        [python, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=True
    )
    control = node.start(real.stdout.strip())
    assert control.run(node.spec("sh", "-c", "exit 3", isolation=isolation))["exit_code"] == 3
    assert control.run(node.spec("no-such-command", isolation=isolation))["reason"] == "command-not-found"
    spec = node.spec("sh", "-c", "echo up; sleep 1000", isolation=isolation)
    control.launch(spec)
    node.wait_log(spec["attempt_id"], b"up")
    assert node.exec(spec["attempt_id"], "sh", "-c", "exit 4").result() == {"exit_code": 4}


def test_another_signature_of_the_private_interface_is_survived() -> None:
    program = """
import os, sys; sys.path.insert(0, "src")
from dais.node import spawn
spawn.reserve_low_descriptors()
def other(*arguments): raise TypeError("takes 99 arguments")
for replacement in (spawn._fork_exec, other, None):
    spawn._fork_exec = replacement
    null = os.open("/dev/null", os.O_RDWR)
    read, write = os.pipe()
    argv = ["sh", "-c", "echo $A; pwd; echo kept >&5; exit 3"]
    pid = spawn.spawn_plain(argv, [b"/bin/sh"], [b"A=b"], (null, write, write), cwd="/usr", keep={5: write})
    os.close(write)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    assert os.read(read, 100) == b"b\\n/usr\\nkept\\n"
    for words in ({"programs": [b"/no/such"]}, {"cwd": "/no/such"}):
        try:
            spawn.spawn_plain(argv, **{"programs": [b"/bin/sh"], "env": [], "stdio": (null, null, null), **words})
        except spawn.SpawnError as error:
            assert (error.stage, error.errno) == ("chdir" if "cwd" in words else "exec", 2), error.stage
        else:
            raise AssertionError(words)
print("fine")
"""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_it_ends_when_its_directory_is_removed(node: Node) -> None:
    node.directory.mkdir(mode=0o700)
    process = subprocess.Popen(own_command(str(node.directory), "--idle", "1"))
    with process:
        control = node.connect()
        spec = node.spec("sleep", "1000")
        control.launch(spec)
        control.record(spec["attempt_id"], "started")
        shutil.rmtree(node.directory)
        assert process.wait(PATIENCE) == 0
    assert not processes_with(f"DAIS_ATTEMPT={spec['attempt_id']}".encode())
