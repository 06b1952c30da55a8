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
    """The head of the queue, in its order, and the nodes of one resource group. `now` is in µs."""

    queue: tuple[Waiting, ...]
    nodes: tuple[NodeState, ...]
    now: int


class Placement(msgspec.Struct, frozen=True):
    """Start this job on this node."""

    job_id: str
    node: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to start, in order, and for every other job in the snapshot the one dominant reason why it waits."""

    starts: tuple[Placement, ...]
    waits: dict[str, str]
