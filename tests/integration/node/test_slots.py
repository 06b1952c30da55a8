"""A supervisor that is given more than fits: each container starts, in order, once its slots are free."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.supervisor import Control, Node

SLOTS = {"cpu_millis": 1000, "memory": 1 << 30}


class Gate:
    """A pipe with a name, on which a container waits."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        os.mkfifo(path)
        path.chmod(0o666)

    def open(self) -> None:
        Path(self.path).write_text("go\n")


@pytest.fixture
def gate(node: Node) -> Gate:
    node.directory.parent.chmod(0o755)
    return Gate(node.directory.parent / "gate")


def hold(node: Node, gate: str = "", **slots: int) -> dict[str, Any]:
    """A container that takes slots, and ends once something is put into its gate."""
    command = ["/bin/sh", "-c", f"read -r _ < {gate}"] if gate else ["/bin/true"]
    return node.spec(*command, slots=slots)


def start(control: Control, *specs: dict[str, Any]) -> list[str]:
    control.send(op="launch", slots=SLOTS, specs=list(specs))
    control.sync()
    return [spec["attempt_id"] for spec in specs]


def started(control: Control) -> list[str]:
    """The attempts that have started, in order."""
    control.sync()
    return [record["attempt_id"] for record in control.records if record["kind"] == "started"]


def test_what_does_not_fit_waits_in_order_and_starts_as_soon_as_it_fits(node: Node, gate: Gate) -> None:
    control = node.start()
    first, second, third, small = start(
        control,
        hold(node, gate.path, cpu_millis=600),
        hold(node, cpu_millis=600),
        hold(node, memory=2 << 30),
        hold(node, cpu_millis=1),
    )
    assert started(control) == [first], "the last one would fit, and does not overtake"
    gate.open()
    control.record(small)
    assert started(control) == [first, second, third, small], "what is larger than all slots runs alone"


def test_what_waits_can_be_stopped_and_those_behind_it_go_on(node: Node, gate: Gate) -> None:
    control = node.start()
    first, second, third, last = start(
        control,
        hold(node, gate.path, cpu_millis=600),
        hold(node, cpu_millis=600),
        hold(node, cpu_millis=400),
        hold(node, cpu_millis=1000),
    )
    control.send(op="stop", attempt_id=second, reason="user-request")
    ended = control.record(second)
    assert (ended["reason"], ended["detail"]) == ("stopped", "stopped before it was started")
    control.record(third)
    assert started(control) == [first, third], "what fits beside the first need not wait for its end"
    gate.open()
    control.record(last)


def test_what_takes_no_slots_never_waits(node: Node, gate: Gate) -> None:
    control = node.start()
    first, build = start(control, hold(node, gate.path, cpu_millis=1000), hold(node))
    control.record(build)
    gate.open()
    control.record(first)


def test_another_server_finds_what_waits_as_queued(node: Node, gate: Gate) -> None:
    control = node.start()
    _, second = start(control, hold(node, gate.path, cpu_millis=1000), hold(node, cpu_millis=1000))
    other = node.connect()
    assert other.hello["backfills"] is True
    assert other.hello["queued"] == [second]
    gate.open()
    other.record(second)
