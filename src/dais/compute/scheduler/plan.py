"""First come, first served, best fit: the head of the queue that does not fit holds back what comes after it.

Strict order costs some throughput and cannot starve a large job. Among the nodes on which a job fits it takes the
one that it fills most, so that large gaps stay whole.

An engine with a queue of its own is handed a few jobs more, still in order, so that it can start the next one by
itself: those that do not fit beside what it was given already, up to its lookahead.
"""

from __future__ import annotations

from dais.compute.scheduler.types import NodeState, Placement, Plan, Snapshot, Waiting

BEHIND = "waits for the jobs before it"
"""Why every job waits that comes after one that does not fit."""

Free = dict[str, list[int]]
"""By node, the free millicores, bytes and GPUs."""


def plan(snapshot: Snapshot) -> Plan:
    """The plan for a snapshot. Pure: the same snapshot gives the same plan."""
    if snapshot.away is not None:
        waits = {job.job_id: BEHIND for job in snapshot.queue}
        waits |= {job.job_id: snapshot.away for job in snapshot.queue[:1]}
        return Plan(starts=(), waits=waits)
    free = {
        node.name: [node.free_cpu_millis, node.free_mem, node.free_gpu] for node in snapshot.nodes if node.full is None
    }
    room, blocked = _room(snapshot, free)
    starts: list[Placement] = []
    waits = {}
    told = False
    for job in snapshot.queue:
        node = None if blocked else _take(job, free)
        if node is not None:
            starts.append(Placement(job.job_id, node))
            continue
        blocked = True
        beyond = _roomiest(job, snapshot.nodes) if room > 0 and not told else None
        if beyond is not None:
            room -= 1
            starts.append(Placement(job.job_id, beyond, beyond=True))
            continue
        waits[job.job_id] = BEHIND if told else _why(job, snapshot, free)
        told = True
    return Plan(starts=tuple(starts), waits=waits)


def _room(snapshot: Snapshot, free: Free) -> tuple[int, bool]:
    """How many more jobs may wait in the engine's queue, and whether one waits there now.

    What it was given, and has a place for, it will start: that takes its slots. The first that has none waits there,
    and so do all after it, for the engine keeps the order as we do.
    """
    if snapshot.lookahead is None:
        return 0, False
    waiting = 0
    for job in snapshot.inside:
        if waiting or _take(job, free) is None:
            waiting += 1
    return snapshot.lookahead - waiting, waiting > 0


def _take(job: Waiting, free: Free) -> str | None:
    """Give the job its slots on the node that it fits best; None where it fits on none."""
    node = _best_fit(job, free)
    if node is not None:
        slots = free[node]
        slots[0] -= job.cpu_millis
        slots[1] -= job.mem
        slots[2] -= job.gpu
    return node


def _best_fit(job: Waiting, free: Free) -> str | None:
    best: str | None = None
    least = 0.0
    for name, (cpu, mem, gpu) in free.items():
        if job.cpu_millis <= cpu and job.mem <= mem and job.gpu <= gpu:
            left = (cpu - job.cpu_millis) / 1000 + (mem - job.mem) / (4 << 30) + (gpu - job.gpu) * 16
            if best is None or left < least:
                best, least = name, left
    return best


def _roomiest(job: Waiting, nodes: tuple[NodeState, ...]) -> str | None:
    """The largest node that could ever hold the job, and may be used now; the engine may choose another."""
    able = [
        node
        for node in nodes
        if node.full is None and job.cpu_millis <= node.cpu_millis and job.mem <= node.mem and job.gpu <= node.gpu
    ]
    return max(able, key=lambda node: (node.cpu_millis, node.mem, node.gpu)).name if able else None


def _why(job: Waiting, snapshot: Snapshot, free: Free) -> str:
    """The slot that is shortest on the node that comes nearest to fitting, in words."""
    if not snapshot.nodes:
        return "no node is up"
    nearest: tuple[int, str] | None = None
    for node in snapshot.nodes:
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
        if not short:  # a node on which nothing is started has room, or the engine's own queue comes first
            return node.full or f"waits for the {len(snapshot.inside)} jobs that the engine was given before it"
        if nearest is None or len(short) < nearest[0]:
            nearest = (len(short), f"{short[0]} on {node.name}")
    assert nearest is not None
    return nearest[1]
