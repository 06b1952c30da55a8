"""Commands inside running containers."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.needs import needs_cgroups, needs_root
from tests.support.supervisor import (
    TEST_UID,
    Closed,
    Control,
    Node,
    exec_helpers,
    processes_with,
    sleeping,
    until,
)

_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_PTY = {"rows": 30, "cols": 100, "term": "xterm"}


@pytest.fixture
def running(node: Node, control: Control, isolation: str) -> str:
    """A container that waits; its attempt id."""
    return _start(node, control, isolation)


def _start(node: Node, control: Control, isolation: str, **fields: Any) -> str:
    spec = node.spec("sh", "-c", "echo up; sleep 1000", isolation=isolation, **fields)
    spec["env"] = {**spec["env"], "JOBS_OWN": "here"}
    control.launch(spec)
    node.wait_log(spec["attempt_id"], b"up")
    return str(spec["attempt_id"])


def test_a_command_s_output_and_exit_code(node: Node, running: str) -> None:
    client = node.exec(running, "sh", "-c", "echo out; echo err >&2; exit 12")
    assert client.ready == {"ok": True}
    assert client.result() == {"exit_code": 12}
    assert bytes(client.stdout) == b"out\n"
    assert bytes(client.stderr) == b"err\n"
    with pytest.raises(Closed):
        client.frame()


def test_a_signal_is_told(node: Node, running: str) -> None:
    assert node.exec(running, "sh", "-c", "kill -9 $$").result() == {"signal": 9}


def test_stdin_is_carried_to_its_end(node: Node, running: str) -> None:
    client = node.exec(running, "bash", "-s")
    client.put(0, b"echo one\nread word\n")
    client.put(0, b"two\necho $word\n")
    client.put(1)
    assert client.result() == {"exit_code": 0}
    assert client.stdout == b"one\ntwo\n"


def test_much_goes_both_ways(node: Node, running: str) -> None:
    data = os.urandom(8 << 20)
    client = node.exec(running, "cat")

    def send() -> None:
        for start in range(0, len(data), 1 << 20):
            client.put(0, data[start : start + (1 << 20)])
        client.put(1)

    # Both at once: cat writes what it reads, and nobody hoards.
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(send)
        assert client.result() == {"exit_code": 0}
        sent.result()
    assert client.stdout == data


def test_a_client_that_does_not_read_stops_that_command_only(node: Node, control: Control, running: str) -> None:
    client = node.exec(running, "sh", "-c", "head -c 50000000 /dev/zero; echo done > /tmp/finished-$$; exit 0")
    before = _resident(node)
    for _ in range(20):
        assert node.exec(running, "true").result() == {"exit_code": 0}
    control.sync()
    assert _resident(node) < before + (8 << 20)
    assert client.result() == {"exit_code": 0}
    assert len(client.stdout) == 50_000_000


def _resident(node: Node) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{node.pid()}/status").read_text())[1]) << 10  # type: ignore[index]


def test_environment_and_working_directory(node: Node, running: str) -> None:
    script = "echo $JOBS_OWN $MORE; pwd; echo $DAIS_ATTEMPT"
    client = node.exec(running, "sh", "-c", script, env={"MORE": "too"}, workdir="/tmp")
    client.result()
    assert client.stdout.decode().split() == ["here", "too", "/tmp", running]


def test_what_cannot_be_started_is_refused_with_a_code(node: Node, control: Control, running: str) -> None:
    for client, code in (
        (node.exec(running, "no-such-command"), "command-not-found"),
        (node.exec(running, "/etc"), "command-not-found"),
        (node.exec(running, "true", workdir="/no/such/place"), "exec-failed"),
        (node.exec(running, "true", workdir="relative"), "bad-request"),
        (node.exec(running, "true", env={"A": 1}), "bad-request"),
        (node.exec("unknown", "true"), "unknown-attempt"),
    ):
        assert client.ready["error"] == code
        assert client.ready["message"]
        with pytest.raises(Closed):
            client.frame()
    control.send(op="stop", attempt_id=running, grace=0)
    control.record(running)
    assert node.exec(running, "true").ready["error"] == "unknown-attempt"


def test_it_is_inside_the_container(node: Node, control: Control, running: str, isolation: str) -> None:
    script = (
        "id -u; grep -E 'NoNewPrivs|CapEff' /proc/self/status | tr -d ' \\n'; echo; "
        "for n in user mnt pid net ipc uts cgroup; do readlink /proc/self/ns/$n; done; ulimit -n"
    )
    client = node.exec(running, "sh", "-c", script)
    client.result()
    spec = node.spec("sh", "-c", f"{script}; sleep 1000", isolation=isolation)
    lines = client.stdout.decode().split("\n")
    expected_uid = str(spec.get("uid", os.getuid()))
    assert lines[0] == expected_uid
    assert lines[1].replace("\t", "") == "CapEff:0000000000000000NoNewPrivs:1"
    # The same namespaces as the container's own processes.
    inside = until(lambda: _sleeper(running), "the container sleeps")
    own = [
        str(Path(f"/proc/{inside}/ns/{name}").readlink())
        for name in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
    ]
    assert lines[2:9] == own


def _sleeper(attempt_id: str) -> int | None:
    for pid in processes_with(f"DAIS_ATTEMPT={attempt_id}".encode()):
        if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"):
            return pid
    return None


def test_it_counts_in_the_container_s_control_group(node: Node, control: Control, isolation: str) -> None:
    needs_root()
    needs_cgroups()
    attempt = _start(node, control, isolation, limits={"memory": 64 << 20, "pids": 50})
    client = node.exec(attempt, "cat", "/proc/self/cgroup")
    client.result()
    groups = client.stdout.decode()
    assert attempt in groups or isolation == "sandbox"  # a cgroup namespace hides the name
    hungry = node.exec(attempt, "python3", "-c", "x = b'x' * (200 << 20)")
    assert hungry.result() == {"signal": 9}


def test_a_terminal(node: Node, running: str) -> None:
    client = node.exec(running, "sh", pty=_PTY)
    client.put(0, b"tty; stty size; echo $TERM; [ -t 0 ] && [ -t 1 ] && echo is-''a-tty\n")
    client.until(b"is-a-tty\r\n")
    text = client.stdout.decode()
    assert re.search(r"/dev/pts/\d+\r\n", text)
    assert "30 100\r\n" in text
    assert "xterm\r\n" in text
    client.put(2, b'{"rows": 50, "cols": 132}')
    client.put(0, b"stty size\n")
    client.until(b"50 132\r\n")
    client.put(0, b"sh -c 'echo now-''waiting; exec sleep 1000'\n")
    client.until(b"now-waiting\r\n")
    client.put(0, b"\x03")
    client.put(0, b"echo interrup''ted\n")
    client.until(b"interrupted\r\n")
    client.put(1)
    assert client.result() == {"exit_code": 0}


def test_half_a_line_on_a_terminal_ends_with_its_input(node: Node, running: str) -> None:
    client = node.exec(running, "cat", pty=_PTY)
    client.put(0, b"no newline")
    client.put(1)
    assert client.result() == {"exit_code": 0}


def test_a_command_that_ends_while_it_is_signalled_or_left_is_told_or_gone(node: Node, running: str) -> None:
    """Its end, a signal and the end of its input come in any order."""
    for number in range(30):
        client = node.exec(running, "sh", "-c", "read x; echo $x")
        client.put(0, b"x\n")
        client.put(3, b"KILL" if number % 2 else b"TERM")
        client.put(1)
        if number % 3:
            assert client.result() in ({"exit_code": 0}, {"signal": 9}, {"signal": 15})
        client.close()
    until(lambda: not exec_helpers(node), "the helpers have ended")
    mine = f"DAIS_ATTEMPT={running}".encode()
    until(lambda: not {*processes_with(b"DAIS_EXEC=")} & {*processes_with(mine)}, "nothing of them is left")


def test_what_is_sent_after_the_end_does_not_hide_it(node: Node, running: str) -> None:
    client = node.exec(running, "sh", "-c", "echo out; exit 6")
    until(lambda: not exec_helpers(node), "it has ended")
    for _ in range(20):
        client.put(0, bytes(1 << 16))
    client.put(1)
    assert client.result() == {"exit_code": 6}
    assert client.stdout == b"out\n"


def test_a_helper_has_nothing_of_the_supervisor_open_and_is_not_looked_into(node: Node, running: str) -> None:
    """It has the supervisor's memory. What it had open would keep other commands' pipes from ending."""
    waits = node.exec(running, "cat")
    second = node.exec(running, "cat")
    helpers = exec_helpers(node)
    assert len(helpers) == 2
    if os.geteuid() != 0:
        for pid in helpers:
            with pytest.raises(PermissionError):
                list(Path(f"/proc/{pid}/fd").iterdir())
        return
    for pid in helpers:
        opened = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115 (links to no path)
        kinds = [name.partition(":")[0] for name in opened]
        assert kinds.count("socket") == 1
        assert {"socket", *_NAMESPACES}.issuperset(kinds), opened
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0
    waits.put(1)
    assert waits.result() == {"exit_code": 0}
    second.close()


def test_control_c_reaches_the_command(node: Node, running: str) -> None:
    script = "trap 'echo caught; exit 9' INT; echo up; while :; do sleep 0.01; done"
    client = node.exec(running, "sh", "-c", script, pty=_PTY)
    client.until(b"up")
    client.put(0, b"\x03")
    assert client.result() == {"exit_code": 9}
    assert b"caught" in client.stdout


def test_signals_reach_the_command(node: Node, running: str) -> None:
    client = node.exec(running, "sh", "-c", "trap 'exit 8' INT; echo up; while :; do sleep 0.01; done")
    client.until(b"up")
    client.put(3, b"INT")
    assert client.result() == {"exit_code": 8}


def test_a_client_that_goes_away_takes_the_tree_with_it(node: Node, control: Control, running: str) -> None:
    marks = [f"77{number}{os.getpid()}" for number in range(3)]
    for number, ending in enumerate(("wait", "exec setsid --wait sleep MARK", "(setsid sleep MARK &); sleep MARK")):
        script = f"sleep {marks[number]} & echo up; {ending.replace('MARK', marks[number])}"
        client = node.exec(running, "sh", "-c", script)
        client.until(b"up")
        until(lambda n=number: sleeping(marks[n]), "it runs")  # type: ignore[misc]
        client.close()
        until(lambda n=number: not sleeping(marks[n]), "its tree has ended")  # type: ignore[misc]
    assert not node.ended(control)


def test_a_client_that_goes_away_at_once_leaves_nothing(node: Node, control: Control, running: str) -> None:
    for _ in range(10):
        link = node.connect(hello=False)
        link.send(op="exec", protocol=1, attempt_id=running, argv=["sleep", "1000"])
        link.close()
    assert node.exec(running, "true").result() == {"exit_code": 0}
    until(lambda: not exec_helpers(node), "the helpers have ended")
    control.send(op="usage", attempt_ids=[running])
    assert control.answer("usage")["usage"][running]["pids"] == 2


def test_background_processes_do_not_hold_the_exit_back(node: Node, running: str) -> None:
    client = node.exec(running, "sh", "-c", "sleep 1000 & echo started; exit 4")
    assert client.result() == {"exit_code": 4}
    assert client.stdout == b"started\n"


def test_the_container_s_end_ends_its_commands(node: Node, control: Control, running: str) -> None:
    client = node.exec(running, "sleep", "1000")
    control.send(op="stop", attempt_id=running, grace=0)
    assert client.result() in ({"signal": 9}, {"signal": 15})
    control.record(running)
    assert not processes_with(f"DAIS_ATTEMPT={running}".encode())


def test_stopping_reaches_commands_too(node: Node, control: Control, running: str) -> None:
    client = node.exec(running, "sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done")
    client.until(b"up")
    control.send(op="stop", attempt_id=running, grace=20)
    assert control.record(running)["signal"] == signal.SIGTERM
    assert client.result()


def test_a_broken_exec_frame_ends_that_exec_only(node: Node, running: str) -> None:
    breaks: list[Callable[[], bytes]] = [
        lambda: struct.pack(">IB", 1, 99),
        lambda: struct.pack(">I", 0),
        lambda: struct.pack(">IB", 6, 3) + b"NOSIG",
        lambda: struct.pack(">I", 1 << 31),
    ]
    for make in breaks:
        client = node.exec(running, "sleep", "1000")
        client.send_raw(make())
        client.until_closed()
    assert node.exec(running, "true").result() == {"exit_code": 0}
    until(lambda: not exec_helpers(node), "the helpers have ended")


@pytest.mark.slow
def test_three_hundred_in_a_row_lose_nothing(node: Node, running: str) -> None:
    for number in range(300):
        client = node.exec(running, "sh", "-c", f"echo {number}; exit {number % 100}")
        assert client.result() == {"exit_code": number % 100}
        assert client.stdout == f"{number}\n".encode()


def test_many_at_once(node: Node, running: str) -> None:
    clients = [node.exec(running, "sh", "-c", f"read x; echo ${{x}}{number}") for number in range(20)]
    for client in clients:
        client.put(0, b"got\n")
    for number, client in enumerate(clients):
        assert client.result() == {"exit_code": 0}
        assert client.stdout == f"got{number}\n".encode()


def test_exec_waits_for_a_container_that_is_just_starting(node: Node, control: Control, isolation: str) -> None:
    for _ in range(10):
        spec = node.spec("sleep", "1000", isolation=isolation)
        control.launch(spec)
        control.sync()
        client = node.exec(spec["attempt_id"], "sh", "-c", "echo $DAIS_ATTEMPT")
        assert client.ready == {"ok": True}
        client.result()
        assert client.stdout.decode().strip() == spec["attempt_id"]


@pytest.mark.slow
def test_all_of_this_holds_for_a_supervisor_that_is_not_root(tmp_path: Path) -> None:
    """There the helper enters by its user's own rights, and a control group joins by none."""
    needs_root()
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, TEST_UID, TEST_UID)
    for above in home.parents[:3]:
        above.chmod(above.stat().st_mode | 0o011)
    user = ("setpriv", "--reuid", str(TEST_UID), "--regid", str(TEST_UID), "--clear-groups", "--")
    tests = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", __file__)
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
    done = subprocess.run([*user, *tests], env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 40, done.stdout  # type: ignore[index]
