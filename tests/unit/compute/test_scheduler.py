"""The scheduler, as a pure function from a snapshot to a plan."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dais.compute.scheduler import NodeState, Snapshot, Waiting, plan

GIB = 1 << 30


def node(name: str, cpu: int = 2000, mem: int = 8 * GIB, gpu: int = 0, **free: int) -> NodeState:
    return NodeState(
        name=name,
        cpu_millis=cpu,
        mem=mem,
        gpu=gpu,
        free_cpu_millis=free.get("cpu_free", cpu),
        free_mem=free.get("mem_free", mem),
        free_gpu=free.get("gpu_free", gpu),
    )


def job(name: str, cpu: int = 1000, mem: int = GIB, gpu: int = 0) -> Waiting:
    return Waiting(job_id=name, cpu_millis=cpu, mem=mem, gpu=gpu)


def decide(jobs: list[Waiting], nodes: list[NodeState]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    decided = plan(Snapshot(queue=tuple(jobs), nodes=tuple(nodes), now=0))
    return [(start.job_id, start.node) for start in decided.starts], decided.waits


def test_starts_in_order_until_the_node_is_full() -> None:
    starts, waits = decide([job("a"), job("b"), job("c"), job("d")], [node("n")])
    assert starts == [("a", "n"), ("b", "n")]
    assert waits == {"c": "needs 1 cpu, 0 of 2 free on n", "d": "waits for the jobs before it"}


def test_a_large_job_is_not_overtaken() -> None:
    starts, waits = decide([job("large", cpu=2000), job("small", cpu=100)], [node("n", cpu_free=1500)])
    assert starts == []
    assert waits["large"] == "needs 2 cpu, 1.5 of 2 free on n"


def test_best_fit_keeps_large_gaps_whole() -> None:
    starts, _ = decide(
        [job("a", cpu=500, mem=GIB // 2)], [node("empty"), node("nearly-full", cpu_free=600, mem_free=GIB)]
    )
    assert starts == [("a", "nearly-full")]


def test_jobs_without_gpu_leave_gpu_nodes_alone() -> None:
    starts, _ = decide([job("a")], [node("gpu", gpu=4, cpu_free=1100), node("cpu")])
    assert starts == [("a", "cpu")]


def test_the_reason_is_of_the_node_that_nearly_fits() -> None:
    _, waits = decide([job("a", cpu=2000, gpu=1)], [node("cpu"), node("gpu", gpu=2, gpu_free=0, cpu_free=0)])
    assert waits["a"] == "needs 1 gpu, 0 of 0 free on cpu"
    assert decide([job("a")], [])[1] == {"a": "no node is up"}


jobs = st.lists(
    st.builds(
        job,
        st.uuids().map(str),
        cpu=st.integers(1, 4000),
        mem=st.integers(1, 16 * GIB),
        gpu=st.integers(0, 2),
    ),
    max_size=30,
    unique_by=lambda one: one.job_id,
)
nodes = st.lists(
    st.builds(
        lambda name, cpu, mem, gpu: node(name, 4000, 16 * GIB, 4, cpu_free=cpu, mem_free=mem, gpu_free=gpu),
        st.text("abc", min_size=1, max_size=4),
        st.integers(0, 4000),
        st.integers(0, 16 * GIB),
        st.integers(0, 4),
    ),
    max_size=5,
    unique_by=lambda one: one.name,
)


lookaheads = st.none() | st.integers(0, 6)


@given(jobs, jobs, nodes, lookaheads)
def test_no_slot_is_given_twice_and_everybody_is_answered(
    queue: list[Waiting], inside: list[Waiting], machines: list[NodeState], lookahead: int | None
) -> None:
    handed_over = () if lookahead is None else tuple(inside)
    seen = Snapshot(queue=tuple(queue), nodes=tuple(machines), now=0, lookahead=lookahead, inside=handed_over)
    decided = plan(seen)
    assert plan(msgspec.json.decode(msgspec.json.encode(seen), type=Snapshot)) == decided, "it can be replayed"
    asked = {one.job_id: one for one in queue}
    beyond = [start.beyond for start in decided.starts]
    assert beyond == sorted(beyond), "who waits with the engine comes after all that fit"
    assert sum(beyond) <= (lookahead or 0)
    for machine in machines:
        mine = [asked[start.job_id] for start in decided.starts if start.node == machine.name and not start.beyond]
        assert sum(one.cpu_millis for one in mine) <= machine.free_cpu_millis
        assert sum(one.mem for one in mine) <= machine.free_mem
        assert sum(one.gpu for one in mine) <= machine.free_gpu
    started = [start.job_id for start in decided.starts]
    assert started == [one.job_id for one in queue][: len(started)]
    assert set(started) | set(decided.waits) == set(asked)
    assert not set(started) & set(decided.waits)
    assert all(decided.waits.values())


@given(jobs, nodes, st.integers(0, 6))
def test_what_was_handed_over_counts_when_it_is_asked_again(
    queue: list[Waiting], machines: list[NodeState], lookahead: int
) -> None:
    seen = Snapshot(queue=tuple(queue), nodes=tuple(machines), now=0, lookahead=lookahead)
    first = plan(seen)
    given_over = {start.job_id for start in first.starts}
    again = msgspec.structs.replace(
        seen,
        queue=tuple(one for one in queue if one.job_id not in given_over),
        inside=tuple(one for one in queue if one.job_id in given_over),
    )
    assert plan(again).starts == (), "nothing started meanwhile, so that nothing more is handed over"


def test_an_engine_with_a_queue_is_given_what_fits_and_its_lookahead() -> None:
    seen = Snapshot(
        queue=tuple(job(name) for name in "abcdef"), nodes=(node("n"), node("large", cpu=3000)), now=0, lookahead=2
    )
    fewer = msgspec.structs.replace(seen, nodes=(node("n", cpu_free=1000), node("large", cpu=3000, cpu_free=0)))
    decided = plan(fewer)
    assert [(start.job_id, start.node, start.beyond) for start in decided.starts] == [
        ("a", "n", False),
        ("b", "large", True),
        ("c", "large", True),
    ]
    assert decided.waits == {
        "d": "needs 1 cpu, 0 of 2 free on n",
        "e": "waits for the jobs before it",
        "f": "waits for the jobs before it",
    }


def test_a_job_that_no_node_can_hold_is_never_handed_over() -> None:
    seen = Snapshot(queue=(job("huge", cpu=9000), job("small")), nodes=(node("n", cpu_free=0),), now=0, lookahead=2)
    assert plan(seen).starts == ()
    assert plan(seen).waits["small"] == "waits for the jobs before it", "nobody overtakes it"


def test_nothing_starts_while_the_engine_is_away() -> None:
    seen = Snapshot(queue=(job("a"), job("b")), nodes=(node("n"),), now=0, away="the engine of group g is away")
    assert plan(seen).starts == ()
    assert plan(seen).waits == {"a": "the engine of group g is away", "b": "waits for the jobs before it"}


def test_nothing_is_started_on_a_node_whose_disk_is_full() -> None:
    full = msgspec.structs.replace(node("a"), full="the disk of a is nearly full")
    starts, waits = decide([job("one"), job("two")], [full])
    assert starts == []
    assert waits == {"one": "the disk of a is nearly full", "two": "waits for the jobs before it"}
    starts, _ = decide([job("one")], [full, node("b")])
    assert starts == [("one", "b")]
    _, waits = decide([job("one", cpu=4000)], [full])
    assert waits["one"].startswith("needs 4 cpu"), "what it waits for in any case is told first"
