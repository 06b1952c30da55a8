"""When a container has ended, nothing of it is left: no process, no control group, no mount."""

from __future__ import annotations

from pathlib import Path

from tests.support.supervisor import (
    PATIENCE,
    Control,
    Node,
    cgroups_of,
    processes_with,
    sleeping,
    until,
)

# Forks twice, starts a session of its own, drops its environment, and says where it is.
_DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("daemon", flush=True)
        os.execve("/bin/sleep", ["sleep-MARK", "4321"], {ENV})
    os._exit(0)
"""


def _daemon(mark: str, env: str) -> str:
    return _DAEMON.replace("MARK", mark).replace("{ENV}", env)


def test_a_daemon_ends_with_its_container(node: Node, control: Control, isolation: str) -> None:
    for env in ("{}", "dict(os.environ)"):
        spec = node.spec(isolation=isolation)
        mark = spec["attempt_id"]
        script = _daemon(mark, env)
        wait = f"{script}\nos.wait()\n"
        ended = control.run({**spec, "argv": ["python3", "-c", wait]})
        assert ended["reason"] == "exit-code", ended
        assert not processes_with(f"sleep-{mark}".encode())
        assert not cgroups_of(mark)


def test_a_daemon_ends_when_its_container_is_stopped(node: Node, control: Control, isolation: str) -> None:
    spec = node.spec(isolation=isolation)
    mark = spec["attempt_id"]
    control.launch({**spec, "argv": ["python3", "-c", _daemon(mark, "{}") + "\ntime.sleep(1000)"]})
    node.wait_log(mark, b"daemon")
    until(lambda: processes_with(f"sleep-{mark}".encode()), "the daemon runs")
    control.send(op="stop", attempt_id=mark, grace=PATIENCE, reason="user-request")
    assert control.record(mark)["reason"] == "stopped"
    assert not processes_with(f"sleep-{mark}".encode())
    assert not cgroups_of(mark)


def test_a_daemon_with_a_control_group_ends(node: Node, control: Control) -> None:
    spec = node.spec(limits={"memory": 1 << 30, "pids": 100})
    mark = spec["attempt_id"]
    control.run({**spec, "argv": ["python3", "-c", _daemon(mark, "{}") + "\nos.wait()"]})
    assert not processes_with(f"sleep-{mark}".encode())
    assert not cgroups_of(mark)


def test_neighbours_are_not_touched(node: Node, control: Control, isolation: str) -> None:
    other = node.spec("sh", "-c", "sleep 1000 & echo up; wait", isolation=isolation)
    control.launch(other)
    node.wait_log(other["attempt_id"], b"up")
    for _ in range(5):
        control.run(node.spec("sh", "-c", "sleep 1000 & true", isolation=isolation))
    assert other["attempt_id"] not in node.ended(control)
    control.send(op="usage", attempt_ids=[other["attempt_id"]])
    assert control.answer("usage")["usage"][other["attempt_id"]]["pids"] == 2


def test_a_fork_storm_ends(node: Node, control: Control, isolation: str) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do (while :; do sleep 0.01 & sleep 0.01; done) & done; echo up; sleep 0.1"
    ended = control.run(node.spec("sh", "-c", script, isolation=isolation))
    assert (ended["reason"], ended["detail"]) == ("exit-code", None)
    assert not processes_with(f"DAIS_ATTEMPT={ended['attempt_id']}".encode())


def test_the_supervisor_keeps_no_descriptor_and_no_zombie(node: Node, control: Control, isolation: str) -> None:
    control.run(node.spec("true", isolation=isolation))
    before = node.descriptors()
    for _ in range(20):
        control.run(node.spec("sh", "-c", "echo x; echo y >&2", isolation=isolation))
    control.run(node.spec("no-such-command", isolation=isolation))
    control.run(node.spec("true", isolation=isolation, pty={"rows": 24, "cols": 80}))
    assert node.descriptors() == before
    children = Path(f"/proc/{node.pid()}/task/{node.pid()}/children").read_text().split()
    assert len(children) == 1  # the guard


def test_containers_inherit_nothing(node: Node, control: Control, isolation: str) -> None:
    spec = node.spec("sh", "-c", "for fd in /proc/$$/fd/*; do echo ${fd##*/}; done", isolation=isolation)
    control.run(spec)
    # dash keeps descriptor 10 of its own where it must restore one; it does not here.
    assert set(node.log(spec["attempt_id"]).split()) <= {b"0", b"1", b"2", b"3"}


def test_an_orderly_end_leaves_nothing(node: Node, control: Control) -> None:
    spec = node.spec("sleep", "1000", limits={"memory": 1 << 30})
    control.launch(spec)
    control.record(spec["attempt_id"], "started")
    name = f"dais-{node.directory.stat().st_dev:x}-{node.directory.stat().st_ino:x}"
    node.close()
    until(lambda: not processes_with(str(node.directory).encode()), "supervisor and guard have ended")
    assert not cgroups_of(spec["attempt_id"])
    assert not cgroups_of(name)


def test_a_daemon_without_a_mark_ends_among_others(node: Node, control: Control) -> None:
    other = node.spec("sh", "-c", "echo up; sleep 1000")
    control.launch(other)
    node.wait_log(other["attempt_id"], b"up")
    # The session is the container's, but the environment is gone.
    control.run(node.spec("sh", "-c", "(env -i sleep 43210987 &); exit 0"))
    assert not sleeping("43210987")
    assert other["attempt_id"] not in node.ended(control)


def test_a_stop_at_any_moment_of_the_start_leaves_nothing(node: Node, control: Control, isolation: str) -> None:
    specs = [node.spec("sleep", "1000", isolation=isolation, user=number) for number in range(60)]
    for number, spec in enumerate(specs):
        control.launch(spec)
        for _ in range(number % 6):
            control.sync()
        control.send(op="stop", attempt_id=spec["attempt_id"], grace=0)
    for spec in specs:
        ended = control.record(spec["attempt_id"])
        assert ended["reason"] == "stopped", str(ended)
        assert not processes_with(f"DAIS_ATTEMPT={spec['attempt_id']}".encode())
        assert not cgroups_of(spec["attempt_id"])
