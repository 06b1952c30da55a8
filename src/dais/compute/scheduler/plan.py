"""First come, first served, best fit: the head of the queue that does not fit holds back what comes after it.

Strict order costs some throughput and cannot starve a large job. Among the nodes on which a job fits it takes the
one that it fills most, so that large gaps stay whole.
"""

from __future__ import annotations

from dais.compute.scheduler.types import NodeState, Placement, Plan, Snapshot, Waiting

BEHIND = "waits for the jobs before it"
"""Why every job waits that comes after one that does not fit."""


def plan(snapshot: Snapshot) -> Plan:
    """The plan for a snapshot. Pure: the same snapshot gives the same plan."""
    free = {
        node.name: [node.free_cpu_millis, node.free_mem, node.free_gpu] for node in snapshot.nodes if node.full is None
    }
    starts: list[Placement] = []
    waits: dict[str, str] = {}
    blocked = False
    for job in snapshot.queue:
        if blocked:
            waits[job.job_id] = BEHIND
            continue
        node = _best_fit(job, free)
        if node is None:
            blocked = True
            waits[job.job_id] = _why(job, snapshot.nodes, free)
            continue
        slots = free[node]
        slots[0] -= job.cpu_millis
        slots[1] -= job.mem
        slots[2] -= job.gpu
        starts.append(Placement(job.job_id, node))
    return Plan(starts=tuple(starts), waits=waits)


def _best_fit(job: Waiting, free: dict[str, list[int]]) -> str | None:
    best: str | None = None
    least = 0.0
    for name, (cpu, mem, gpu) in free.items():
        if job.cpu_millis <= cpu and job.mem <= mem and job.gpu <= gpu:
            left = (cpu - job.cpu_millis) / 1000 + (mem - job.mem) / (4 << 30) + (gpu - job.gpu) * 16
            if best is None or left < least:
                best, least = name, left
    return best


def _why(job: Waiting, nodes: tuple[NodeState, ...], free: dict[str, list[int]]) -> str:
    """The slot that is shortest on the node that comes nearest to fitting, in words."""
    if not nodes:
        return "no node is up"
    nearest: tuple[int, str] | None = None
    for node in nodes:
        cpu, mem, gpu = free.get(node.name, (node.free_cpu_millis, node.free_mem, node.free_gpu))
        short = []
        if job.gpu > gpu:
            short.append(f"needs {job.gpu} gpu, {gpu} of {node.gpu} free")
        if job.cpu_millis > cpu:
            short.append(f"needs {job.cpu_millis / 1000:g} cpu, {cpu / 1000:g} of {node.cpu_millis / 1000:g} free")
        if job.mem > mem:
            short.append(
                f"needs {job.mem / (1 << 30):.3g} GiB mem, {mem / (1 << 30):.3g} of {node.mem / (1 << 30):.3g} free"
            )
        if not short:  # only a node on which nothing is started has room
            assert node.full is not None
            return node.full
        if nearest is None or len(short) < nearest[0]:
            nearest = (len(short), f"{short[0]} on {node.name}")
    assert nearest is not None
    return nearest[1]
