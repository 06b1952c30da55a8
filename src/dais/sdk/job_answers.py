"""What the server says of jobs, beside what `wire.answers` has."""

from __future__ import annotations

from dais.wire.answers import Answer
from dais.wire.spec import JobSpec


class Checked(Answer, frozen=True, kw_only=True):
    """What the server says of a spec that was not submitted."""

    spec: JobSpec
    account: str
    group: str
    warnings: tuple[str, ...] = ()


class Usage(Answer, frozen=True, kw_only=True):
    """What a running job uses now: bytes, seconds, processes, the share of time that its GPUs worked; None: unknown."""

    memory: int | None = None
    memory_peak: int | None = None
    cpu_seconds: float | None = None
    pids: int | None = None
    gpu_memory: int | None = None
    gpu_utilization: float | None = None
