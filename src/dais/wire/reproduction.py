"""Running a job again as it was, and whether the same came of it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from dais.wire.answers import Answer

Verdict = Literal["pending", "equal", "close", "differs", "failed", "nothing"]
MOST_DIFFERENCES = 1_000
"""Files that differ, as far as they are named."""


class Reproduce(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far metrics may be from those of the job: relatively, and absolutely below 1."""

    tolerance: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class FileDifference(Answer, frozen=True, kw_only=True):
    """A path that is not the same: the contents' digests before and after; None where it is not there."""

    path: str
    before: str | None = None
    after: str | None = None


class MetricDifference(Answer, frozen=True, kw_only=True):
    """The last value of a metric, before and after; `within` the tolerance or not."""

    name: str
    before: float
    after: float | None = None
    within: bool


class Reproduction(Answer, frozen=True, kw_only=True):
    """A job that ran again what another one was, and how what came of both compares.

    `verdict`: `pending` until it has ended; `equal`: every file has the same content; `close`: not, but all metrics are
    within the tolerance; `differs`; `failed`: it did not succeed; `nothing`: that job left nothing to compare. `notes`
    tell what could not be held fast.
    """

    job_id: str
    number: int
    state: str
    of_id: str
    of_number: int
    of_run: int
    tolerance: float
    verdict: Verdict
    same_files: int = 0
    different_files: int = 0
    files: list[FileDifference] = msgspec.field(default_factory=list)
    metrics: list[MetricDifference] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether the same came of it."""
        return self.verdict in ("equal", "close")
