"""Settings of interactive jobs."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dais.compute.activity import ActivityKind
from dais.kit.settings import settings


@settings("interactive")
class InteractiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When an interactive job is taken to be idle, and what happens then."""

    idle_timeout: Annotated[
        int,
        msgspec.Meta(
            ge=0, description="Seconds without any sign of use after which an interactive job is stopped; 0: never."
        ),
    ] = 4 * 3600
    warning: Annotated[
        int, msgspec.Meta(ge=0, description="Seconds before the stop at which its user is warned (at most half of it).")
    ] = 600
    signs: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="What shows that a job is used: terminal, exec, connection, kernel, cpu, gpu."),
    ] = ("terminal", "exec", "connection", "kernel", "cpu", "gpu")
    cpu_percent: Annotated[
        float, msgspec.Meta(gt=0, description="Percent of one core from which on a job is at work.")
    ] = 10.0
    gpu_percent: Annotated[
        float, msgspec.Meta(gt=0, le=100, description="Percent of the time that its GPUs work, from which on it is.")
    ] = 5.0
    interval: Annotated[float, msgspec.Meta(gt=0, description="Seconds between two looks at interactive jobs.")] = 30.0

    def watches(self, kind: ActivityKind) -> bool:
        """Whether something of this kind is a sign of use."""
        return kind in self.signs
