"""Control groups that serve one attempt after the other: what one did is never the next one's."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.node.cgroups import MOST_LASTING
from dais.node.program import group_name
from dais.node.supervisor import SPAWNS_PER_TURN
from tests.support.needs import needs_cgroups, needs_root
from tests.support.supervisor import Control, Node, cgroups_of

LIMITS = {"memory": 256 << 20, "pids": 64, "cpu": 1}
MINE = "sed -n 's,^[0-9]*:\\([a-z]*\\):,/sys/fs/cgroup/\\1,p' /proc/self/cgroup | grep dais-"
"""In a shell: the directories of one's groups."""
HUNGRY = "import time; x = b'x' * (100 << 20)\nwhile time.process_time() < 0.3: pass"


@pytest.fixture(autouse=True)
def _needs_groups() -> None:
    needs_root()
    needs_cgroups("memory")


def inodes(node: Node) -> set[int]:
    """Which groups there are, whatever their names: those below this supervisor's own."""
    bases = cgroups_of(group_name(str(node.directory)))
    return {entry.stat().st_ino for base in bases for entry in base.iterdir() if entry.is_dir()}


def spare(node: Node) -> set[int]:
    """Which groups there are with the limits of these tests."""
    files = [
        file for base in cgroups_of(group_name(str(node.directory))) for file in base.glob("*/memory.limit_in_bytes")
    ]
    return {file.parent.stat().st_ino for file in files if int(file.read_text()) == LIMITS["memory"]}


def serves_again(node: Node, control: Control, isolation: str) -> bool:
    """Whether an attempt found a group that was there; one in which the kernel still counts memory is given up."""
    kept = False
    for _ in range(10):
        before = spare(node)
        ended = control.run(node.spec("true", isolation=isolation, limits=LIMITS))
        assert ended["exit_code"] == 0
        assert not cgroups_of(ended["attempt_id"])
        kept = kept or before == spare(node) != set()
    return kept


def test_a_group_serves_again_and_its_figures_begin_at_zero(node: Node, control: Control, isolation: str) -> None:
    hungry = control.run(node.spec("python3", "-c", HUNGRY, isolation=isolation, limits=LIMITS))
    assert hungry["memory_peak"] >= 90 << 20
    small = [control.run(node.spec("true", isolation=isolation, limits=LIMITS)) for _ in range(3)]
    assert all(ended["memory_peak"] < 30 << 20 and ended["cpu_seconds"] < 0.2 for ended in small)
    assert serves_again(node, control, isolation) == (control.hello["isolation"]["cgroup"] == "v1")


def test_an_end_out_of_memory_is_not_told_of_the_next_one(node: Node, control: Control, isolation: str) -> None:
    limits = {"memory": 64 << 20}
    for _ in range(2):
        ended = control.run(node.spec("python3", "-c", "x = b'x' * (200 << 20)", isolation=isolation, limits=limits))
        assert ended["reason"] == "out-of-memory"
        failed = control.run(node.spec("false", isolation=isolation, limits=limits))
        assert (failed["reason"], failed["exit_code"]) == ("exit-code", 1)


def test_limits_are_each_attempts_own(node: Node, control: Control, isolation: str) -> None:
    program = "x = b'x' * (120 << 20)"
    for memory, reason in ((256 << 20, "exit-code"), (64 << 20, "out-of-memory"), (256 << 20, "exit-code")):
        ended = control.run(node.spec("python3", "-c", program, isolation=isolation, limits={"memory": memory}))
        assert ended["reason"] == reason


def test_limits_that_a_container_changed_are_set_again(node: Node) -> None:
    """Root's own containers outside a sandbox may do that."""
    control = node.start(allow_root=True)
    change = f"{MINE}; for d in $({MINE}); do test ! -f $d/pids.max || echo 32 > $d/pids.max; done"
    look = f"{MINE}; for d in $({MINE}); do test ! -f $d/pids.max || cat $d/pids.max; done"
    kept = False
    for _ in range(10):
        specs = [node.spec("sh", "-c", script, limits=LIMITS) for script in (change, look)]
        for spec in specs:
            del spec["uid"]
            control.run(spec)
        changed, looked = (node.log(spec["attempt_id"]).decode().split() for spec in specs)
        assert looked.pop() == str(LIMITS["pids"])
        kept = kept or not set(changed).isdisjoint(looked)
    assert kept == (control.hello["isolation"]["cgroup"] == "v1")


def test_groups_with_other_limits_make_way(node: Node, control: Control) -> None:
    specs = [node.spec("true", limits={"memory": (64 << 20) + 4096 * number}) for number in range(100)]
    control.launch(*specs)
    for spec in specs:
        assert control.record(spec["attempt_id"])["exit_code"] == 0
    assert len(inodes(node)) <= MOST_LASTING * len(cgroups_of(group_name(str(node.directory))))
    assert serves_again(node, control, "process") == (control.hello["isolation"]["cgroup"] == "v1")


def test_no_group_bears_the_name_of_what_has_ended(node: Node, control: Control) -> None:
    """While others wait it does, for they take it over: that is, all but the last few."""
    specs = [node.spec("true", limits=LIMITS) for _ in range(3 * SPAWNS_PER_TURN)]
    control.launch(*specs)
    for spec in specs:
        assert control.record(spec["attempt_id"])["exit_code"] == 0
    ended = {spec["attempt_id"] for spec in specs}
    below = [entry.name for base in cgroups_of(group_name(str(node.directory))) for entry in base.iterdir()]
    assert not ended & set(below)


def test_a_sandbox_is_in_its_control_groups_from_its_beginning(node: Node, control: Control) -> None:
    spec = node.spec("sleep", "1000", isolation="sandbox", limits=LIMITS)
    control.launch(spec)
    pid = control.record(spec["attempt_id"], "started")["pid"]
    own = Path("/proc/self/cgroup").read_text()
    limited = [
        line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if group_name(str(node.directory)) in line
    ]
    assert spec["attempt_id"] in "".join(limited)
    assert group_name(str(node.directory)) not in own
    control.send(op="stop", attempt_id=spec["attempt_id"], grace=0, reason="user-request")
    assert control.record(spec["attempt_id"])["reason"] == "stopped"


def test_a_group_with_another_below_it_does_not_serve_again(node: Node) -> None:
    """Root's own containers outside a sandbox may do that."""
    control = node.start(allow_root=True)
    spec = node.spec("sh", "-c", f"for d in $({MINE}); do mkdir $d/below; done; {MINE}", limits=LIMITS)
    del spec["uid"]
    control.run(spec)
    assert cgroups_of("below")
    after = node.spec("sh", "-c", MINE, limits=LIMITS)
    assert control.run(after)["exit_code"] == 0
    used = [set(node.log(one["attempt_id"]).decode().split()) for one in (spec, after)]
    assert used[0]
    assert not used[0] & used[1]
    for path in cgroups_of("below"):
        path.rmdir()
