"""The supervisor is killed at any moment: nothing of its containers is left, no record is lost, none comes twice."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from dais.node import SYSTEM
from dais.node.program import group_name
from tests.support.needs import needs_cgroups, needs_root
from tests.support.supervisor import Control, Node, cgroups_of, processes_with, until

_DAEMON = "(setsid sh -c 'sleep 4321 & sleep 4321' &) ; echo up; sleep 1000"


def _long(node: Node, isolation: str, **fields: Any) -> dict[str, object]:
    return node.spec("sh", "-c", _DAEMON, isolation=isolation, **fields)


def _mark(attempt_id: object) -> bytes:
    return f"DAIS_ATTEMPT={attempt_id}".encode()


def _when_daemon_runs(attempt_id: object) -> None:
    until(lambda: len(processes_with(_mark(attempt_id))) >= 4, "the daemon runs")


def _when_gone(attempt_id: str) -> None:
    until(lambda: not processes_with(_mark(attempt_id)), "the guard has ended everything")
    until(lambda: not cgroups_of(attempt_id), "the guard has removed the control groups")


def test_nothing_runs_on_after_a_kill_even_without_a_successor(node: Node, control: Control, isolation: str) -> None:
    plain, limited = _long(node, isolation), _long(node, isolation, limits={"memory": 1 << 30, "pids": 100})
    control.launch(plain, limited)
    for spec in (plain, limited):
        node.wait_log(str(spec["attempt_id"]), b"up")
        _when_daemon_runs(spec["attempt_id"])
    node.kill()
    for spec in (plain, limited):
        _when_gone(str(spec["attempt_id"]))


def test_a_successor_reports_what_was_lost_after_ending_it(node: Node, control: Control, isolation: str) -> None:
    specs = [_long(node, isolation, limits={"memory": 1 << 30}), _long(node, isolation)]
    control.launch(*specs)
    for spec in specs:
        node.wait_log(str(spec["attempt_id"]), b"up")
    # Without the guard, so that it is the successor that must clean up.
    for guard in processes_with(b"dais-guard"):
        if os.getsid(guard) == guard and str(node.directory).encode() in Path(f"/proc/{guard}/cmdline").read_bytes():
            os.kill(guard, signal.SIGKILL)
    node.kill()
    successor = node.start()
    for spec in specs:
        attempt_id = str(spec["attempt_id"])
        assert successor.hello["attempts"][attempt_id] == "lost"
        ended = successor.record(attempt_id)
        assert (ended["reason"], ended["exit_code"]) == ("lost", None)
        assert not processes_with(_mark(attempt_id))
        assert not cgroups_of(attempt_id)
        assert node.log(attempt_id) == b"up\n"


def test_records_survive_until_they_are_acknowledged(node: Node, control: Control) -> None:
    specs = [node.spec("sh", "-c", f"exit {code}") for code in range(5)]
    control.launch(*specs)
    before = [control.record(spec["attempt_id"]) for spec in specs]
    node.kill()
    successor = node.start()
    assert [successor.record(spec["attempt_id"]) for spec in specs] == before
    assert len(successor.records) == 10
    successor.send(op="ack", seq=before[2]["seq"])
    successor.sync()
    node.kill()
    third = node.start()
    third.sync()
    left = [record["seq"] for record in third.records]
    assert left == [record["seq"] for record in successor.records if record["seq"] > before[2]["seq"]]
    third.send(op="ack", seq=max(left))
    third.sync()
    ended = third.run(node.spec("true"))
    assert ended["seq"] > max(left)
    fourth = node.connect()
    fourth.sync()
    assert [record["seq"] for record in fourth.records] == [ended["seq"] - 1, ended["seq"]]


def test_a_record_that_was_sent_is_in_the_journal(node: Node, control: Control) -> None:
    spec = node.spec("sleep", "1000")
    control.launch(spec)
    control.record(spec["attempt_id"], "started")
    journal = (node.directory / "journal").read_text()
    assert f'"attempt_id":"{spec["attempt_id"]}"' in journal
    assert '"kind":"started"' in journal


def test_launching_twice_is_once_also_for_a_successor(node: Node, control: Control) -> None:
    spec = node.spec("sh", "-c", "echo once; exit 5")
    control.launch(spec, spec)
    control.launch(spec)
    first = control.record(spec["attempt_id"])
    control.launch(spec)
    control.sync()
    node.kill()
    successor = node.start()
    assert successor.hello["attempts"] == {spec["attempt_id"]: "ended"}
    successor.launch(spec)
    successor.sync()
    assert {record["seq"] for record in successor.records if record["kind"] == "ended"} == {first["seq"]}
    assert node.log(spec["attempt_id"]) == b"once\n"


@pytest.mark.parametrize(
    "tail", [b'{"j":"record","rec', b"\x00\xff\xfe", b"null\n[]\n", b'{"j":"record","record":7}\n']
)
def test_a_torn_journal_is_read_as_far_as_it_goes(node: Node, control: Control, tail: bytes) -> None:
    ended = control.run(node.spec("true"))
    node.kill()
    with (node.directory / "journal").open("ab") as file:
        file.write(tail)
    successor = node.start()
    assert successor.record(ended["attempt_id"]) == ended
    again = successor.run(node.spec("sh", "-c", "exit 9"))
    assert (again["exit_code"], again["seq"]) == (9, ended["seq"] + 2)
    node.kill()
    third = node.start()
    assert third.record(again["attempt_id"]) == again


def test_the_journal_stays_small(node: Node, control: Control) -> None:
    for _ in range(20):
        specs = [node.spec("true", user=number) for number in range(100)]
        control.launch(*specs)
        for spec in specs:
            control.record(spec["attempt_id"])
        control.send(op="ack", seq=max(record["seq"] for record in control.records))
        control.records.clear()
    control.sync()
    assert (node.directory / "journal").stat().st_size < 512 << 10
    survivor = node.spec("sleep", "1000")
    control.launch(survivor)
    control.record(survivor["attempt_id"], "started")
    node.kill()
    assert node.start().record(survivor["attempt_id"])["reason"] == "lost"


def test_kills_at_random_moments_lose_nothing(node: Node) -> None:
    specs = [node.spec("sh", "-c", f"echo {number}; exit {number % 7}") for number in range(60)]
    ended: dict[str, dict[str, object]] = {}
    control = node.start()
    for start in range(0, len(specs), 10):
        control.launch(*specs[start : start + 10])
        control.record(specs[start + start // 10]["attempt_id"], "started")
        node.kill()
        control = node.start()
        control.sync()
        for record in control.records:
            if record["kind"] == "ended":
                assert ended.setdefault(record["attempt_id"], record) == record
        # What was never heard of may be launched again, as a server would.
        control.launch(*[spec for spec in specs[: start + 10] if spec["attempt_id"] not in ended])
    for number, spec in enumerate(specs):
        record = ended.get(spec["attempt_id"]) or control.record(spec["attempt_id"])
        assert record["reason"] in ("exit-code", "lost")
        if record["reason"] == "exit-code":
            assert record["exit_code"] == number % 7
            assert node.log(spec["attempt_id"]) == f"{number}\n".encode()


def _fits(fd: int) -> bool:
    try:
        return os.write(fd, b"x" * 4096) > 0
    except OSError:
        return False


def test_a_full_disk_loses_output_and_says_so(node: Node) -> None:
    needs_root()
    node.directory.mkdir(mode=0o700)
    if os.system(f"mount -t tmpfs -o size=1m dais-test {node.directory}") != 0:  # noqa: S605
        pytest.skip("mounting a tmpfs is not allowed here")
    fifo = node.directory.parent / "fifo"
    os.mkfifo(fifo, 0o666)
    fifo.chmod(0o666)
    try:
        control = node.start()
        filler = node.directory / "filler"
        filler.write_bytes(b"x" * (512 << 10))
        spec = node.spec("sh", "-c", f"head -c 3000000 /dev/zero; read x < {fifo}; echo more; exit 3")
        control.launch(spec)
        control.record(spec["attempt_id"], "started")
        with fifo.open("w") as file:
            filler.unlink()
            file.write("go\n")
        ended = control.record(spec["attempt_id"])
        assert (ended["reason"], ended["exit_code"]) == ("exit-code", 3)
        assert ended["log_bytes"] < 1 << 20
        marks = node.log(spec["attempt_id"], SYSTEM)
        assert b"No space left on device" in marks
        lost = sum(int(count) for count in re.findall(rb"(\d+) bytes were lost", marks))
        assert lost + ended["log_bytes"] == 3_000_005
        node.close()
    finally:
        os.system(f"umount -l {node.directory}")  # noqa: S605


def test_a_full_disk_refuses_launches_and_loses_no_record(node: Node) -> None:
    needs_root()
    node.directory.mkdir(mode=0o700)
    if os.system(f"mount -t tmpfs -o size=1m dais-test {node.directory}") != 0:  # noqa: S605
        pytest.skip("mounting a tmpfs is not allowed here")
    try:
        control = node.start()
        running = node.spec("sh", "-c", "read x < /dev/null; trap 'exit 4' TERM; echo up; while :; do sleep 0.01; done")
        control.launch(running)
        node.wait_log(running["attempt_id"], b"up")
        filler = node.directory / "filler"
        with filler.open("wb", buffering=0) as file:
            while _fits(file.fileno()):
                pass
        # The rest of the journal's last page.
        refused = None
        while refused is None or refused["reason"] != "launch-failed":
            refused = control.run(node.spec("true"))
        assert "journal" in refused["detail"]
        assert "No space" in refused["detail"]
        control.send(op="stop", attempt_id=running["attempt_id"], reason="user-request")
        ended = control.record(running["attempt_id"])
        assert (ended["reason"], ended["exit_code"]) == ("stopped", 4)
        filler.unlink()
        assert control.run(node.spec("true"))["reason"] == "exit-code"
        node.kill()
        successor = node.start()
        assert successor.record(running["attempt_id"]) == ended
        successor.send(op="shutdown", kill=True)
        until(lambda: not processes_with(str(node.directory).encode()), "supervisor and guard have ended")
    finally:
        os.system(f"umount -l {node.directory}")  # noqa: S605


def test_groups_that_no_journal_names_are_removed_too(node: Node) -> None:
    needs_root()
    needs_cgroups()
    control = node.start()
    control.run(node.spec("true"))
    (base, *_) = [path for path in cgroups_of(group_name(str(node.directory))) if "pids" in str(path)]
    node.kill()
    until(lambda: not base.exists(), "the guard has removed the group")
    (node.directory / "journal").unlink()
    (base / "left").mkdir(parents=True)
    node.start()
    assert base.exists()
    assert not (base / "left").exists()
