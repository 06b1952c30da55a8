"""Every way in which a container can end is told apart, with and without the sandbox."""

from __future__ import annotations

import os
import signal

import pytest

from dais.node import STDOUT
from tests.support.needs import needs_cgroups, needs_root
from tests.support.supervisor import Control, Node


def test_an_exit_code_is_told(node: Node, control: Control, isolation: str) -> None:
    for code in (0, 3, 130, 192, 255):
        ended = control.run(node.spec("sh", "-c", f"exit {code}", isolation=isolation))
        assert (ended["reason"], ended["exit_code"], ended["signal"]) == ("exit-code", code, None)


def test_a_signal_is_told(node: Node, control: Control, isolation: str) -> None:
    for number in (signal.SIGKILL, signal.SIGSEGV):
        ended = control.run(node.spec("sh", "-c", f"kill -{int(number)} $$", isolation=isolation))
        assert (ended["reason"], ended["exit_code"], ended["signal"]) == ("signal", None, number)


def test_a_missing_command_is_no_exit_code_127(node: Node, control: Control, isolation: str) -> None:
    missing = control.run(node.spec("no-such-command", "x", isolation=isolation))
    assert missing["reason"] == "command-not-found"
    assert missing["exit_code"] is None
    assert "no-such-command" in missing["detail"]
    real = control.run(node.spec("sh", "-c", "exit 127", isolation=isolation))
    assert (real["reason"], real["exit_code"]) == ("exit-code", 127)


def test_a_missing_command_of_a_terminal_is_told(node: Node, control: Control, isolation: str) -> None:
    pty = {"rows": 24, "cols": 80}
    missing = control.run(node.spec("no-such-command", isolation=isolation, pty=pty))
    assert missing["reason"] == "command-not-found"
    real = control.run(node.spec("sh", "-c", "exit 127", isolation=isolation, pty=pty))
    assert (real["reason"], real["exit_code"]) == ("exit-code", 127)


def test_what_is_not_executable_is_no_command(node: Node, control: Control, isolation: str) -> None:
    ended = control.run(node.spec("/etc", isolation=isolation))
    assert ended["reason"] == "command-not-found"
    assert "Permission denied" in ended["detail"]


def test_a_working_directory_that_is_missing_is_a_failed_launch(node: Node, control: Control) -> None:
    ended = control.run(node.spec("true", workdir="/no/such/place"))
    assert ended["reason"] == "launch-failed"
    assert "/no/such/place" in ended["detail"]


def test_a_mount_that_is_missing_is_a_failed_launch(node: Node, control: Control, isolation: str) -> None:
    binds = [{"source": "/no/such/folder", "target": "/data"}]
    ended = control.run(node.spec("true", isolation=isolation, binds=binds))
    assert ended["reason"] == "launch-failed"
    assert ("/data" if isolation == "process" else "No such file") in ended["detail"]


def test_the_time_limit_ends_a_container(node: Node, control: Control, isolation: str) -> None:
    limits = {"time": 0.2, "grace": 20}
    ended = control.run(node.spec("sleep", "1000", isolation=isolation, limits=limits))
    assert (ended["reason"], ended["signal"]) == ("time-limit", signal.SIGTERM)


def test_a_container_that_ignores_term_is_killed_after_the_grace(node: Node, control: Control, isolation: str) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 1000; done"
    spec = node.spec("sh", "-c", script, isolation=isolation)
    control.launch(spec)
    node.wait_log(spec["attempt_id"], b"ready")
    control.send(op="stop", attempt_id=spec["attempt_id"], grace=0.2, reason="preempted")
    ended = control.record(spec["attempt_id"])
    assert (ended["reason"], ended["stop_reason"], ended["signal"]) == ("stopped", "preempted", signal.SIGKILL)


def test_a_container_may_use_its_grace(node: Node, control: Control, isolation: str) -> None:
    script = "trap 'echo saved; exit 7' TERM; echo ready; while :; do sleep 0.01; done"
    spec = node.spec("sh", "-c", script, isolation=isolation)
    control.launch(spec)
    node.wait_log(spec["attempt_id"], b"ready")
    control.send(op="stop", attempt_id=spec["attempt_id"], grace=30, reason="user-request")
    ended = control.record(spec["attempt_id"])
    assert (ended["reason"], ended["exit_code"]) == ("stopped", 7)
    assert node.log(spec["attempt_id"], STDOUT) == b"ready\nsaved\n"


def test_what_has_not_started_is_stopped_without_a_start(node: Node, control: Control) -> None:
    specs = [node.spec("sleep", "1000") for _ in range(100)]
    last = specs[-1]["attempt_id"]
    control.launch(*specs)
    for spec in reversed(specs):
        control.send(op="stop", attempt_id=spec["attempt_id"], grace=0, reason="user-request")
    for spec in specs:
        assert control.record(spec["attempt_id"])["reason"] == "stopped"
    assert not [record for record in control.records if record["attempt_id"] == last and record["kind"] == "started"]


def test_out_of_memory_is_told(node: Node, control: Control, isolation: str) -> None:
    needs_root()
    needs_cgroups()
    program = "x = b'x' * (200 << 20)"
    limits = {"memory": 64 << 20}
    ended = control.run(node.spec("python3", "-c", program, isolation=isolation, limits=limits))
    assert ended["reason"] == "out-of-memory"
    assert str(64 << 20) in ended["detail"]
    assert ended["memory_peak"] >= 60 << 20


def test_a_child_out_of_memory_that_fails_its_parent_is_told(node: Node, control: Control) -> None:
    needs_root()
    needs_cgroups()
    script = "python3 -c \"x = b'x' * (200 << 20)\" || exit 1"
    ended = control.run(node.spec("sh", "-c", script, limits={"memory": 64 << 20}))
    assert (ended["reason"], ended["exit_code"]) == ("out-of-memory", 1)


def test_the_number_of_processes_is_limited(node: Node, control: Control, isolation: str) -> None:
    needs_root()
    needs_cgroups()
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1000 & done; wait"
    ended = control.run(node.spec("sh", "-c", script, isolation=isolation, limits={"pids": 10}))
    assert ended["exit_code"] != 0
    assert b"fork" in node.log(ended["attempt_id"])


def test_figures_are_told(node: Node, control: Control, isolation: str) -> None:
    program = "import time; x = b'x' * (100 << 20)\nwhile time.process_time() < 0.3: pass"
    ended = control.run(node.spec("python3", "-c", program, isolation=isolation))
    assert ended["memory_peak"] >= 90 << 20
    assert 0.25 <= ended["cpu_seconds"] < 20


def test_a_root_supervisor_runs_nothing_as_root(node: Node, control: Control) -> None:
    needs_root()
    for uid in (None, 0, 999):
        ended = control.run(node.spec("true", uid=uid))
        assert ended["reason"] == "launch-failed"
        assert "uid" in ended["detail"]


def test_the_container_runs_as_its_user(node: Node, control: Control, isolation: str) -> None:
    spec = node.spec(
        "sh", "-c", "id -u; id -G; grep -E 'NoNewPrivs|Cap(Eff|Prm|Inh|Amb)' /proc/self/status", isolation=isolation
    )
    control.run(spec)
    uid = str(spec.get("uid", os.getuid())).encode()
    lines = node.log(spec["attempt_id"]).split(b"\n")
    assert lines[0] == uid
    if os.getuid() == 0:
        assert lines[1] == uid
    assert [int(line.split()[1], 16) for line in lines[2:7]] == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "change, wanted",
    [
        ({"argv": []}, "argv"),
        ({"argv": ["a\0b"]}, "NUL"),
        ({"argv": "true"}, "argv"),
        ({"env": {"A=B": "c"}}, "A=B"),
        ({"env": {"A": 1}}, "env"),
        ({"workdir": "relative"}, "relative"),
        ({"workdir": "/a/../b"}, "/a/../b"),
        ({"binds": [{"source": "/tmp", "target": "/"}]}, "/"),
        ({"network": "everything"}, "everything"),
        ({"limits": {"memory": -1}}, "memory"),
        ({"limits": {"cpu": "many"}}, "many"),
        ({"pty": {"rows": 0}}, "rows"),
        ({"root": "images/debian"}, "images/debian"),
        ({"argv": ["true", "x" * (4 << 20)]}, "longer than this system allows"),
    ],
)
def test_a_bad_spec_is_a_failed_launch_and_hurts_nobody(
    node: Node, control: Control, change: dict[str, object], wanted: str
) -> None:
    ended = control.run({**node.spec("true"), **change})
    assert ended["reason"] == "launch-failed"
    assert wanted in ended["detail"]
    assert control.run(node.spec("true"))["exit_code"] == 0
