"""What the scheduler sees and what it decides. Everything is plain data, so that a decision can be replayed."""

from __future__ import annotations

import msgspec


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A job in the queue: millicores, bytes, GPUs."""

    job_id: str
    cpu_millis: int
    mem: int
    gpu: int


class NodeState(msgspec.Struct, frozen=True, kw_only=True):
    """A node's slots: all of them, and those that no placed run holds. `full`: why nothing is started on it now."""

    name: str
    cpu_millis: int
    mem: int
    gpu: int
    free_cpu_millis: int
    free_mem: int
    free_gpu: int
    full: str | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The head of the queue, in its order, and the nodes of one resource group. `now` is in µs.

    `away`: why nothing at all can be started now. Where the engine has a queue of its own, `lookahead` is how many jobs
    may wait in it, and `inside` are those that were handed over and have not started, in that order: what they ask for
    is still free on the nodes.
    """

    queue: tuple[Waiting, ...]
    nodes: tuple[NodeState, ...]
    now: int
    away: str | None = None
    lookahead: int | None = None
    inside: tuple[Waiting, ...] = ()


class Placement(msgspec.Struct, frozen=True):
    """Start this job on this node. `beyond`: it does not fit now, and is to wait in the engine's own queue."""

    job_id: str
    node: str
    beyond: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to start, in order, and for every other job in the snapshot the one dominant reason why it waits."""

    starts: tuple[Placement, ...]
    waits: dict[str, str]
