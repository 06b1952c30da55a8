"""Templates of jobs: what is sent to register one, and what is answered of it, its model and its predictions."""

from __future__ import annotations

from typing import Literal

import msgspec

from dais.wire.answers import Answer
from dais.wire.spec import JobSpec

MAX_RUNS = 200
"""Profiling runs of one template."""
MAX_LEVELS = 20
"""Values of one option, and sizes of CPU or memory."""

TemplateState = Literal["submitted", "profiling", "ready", "failed"]
Optimize = Literal["cost", "time"]


class NewTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A job whose command holds option hints (`--epoch {1,2,5}`), and how it is profiled.

    `cpu` (cores) and `mem` (bytes) are the allocations that are tried and chosen from; empty: after the machines that
    there are. `max_run_time` (seconds) ends a profiling run; `budget` is what all of them may cost, None: no limit.
    """

    name: str
    spec: JobSpec
    cpu: tuple[float, ...] = ()
    mem: tuple[int, ...] = ()
    max_runs: int = 24
    parallel: int = 2
    max_run_time: int = 600
    budget: float | None = None


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to predict: a value for each option, as text; at least one of both caps, seconds and cost, may be None."""

    parameters: dict[str, str] = {}
    max_time: float | None = None
    max_cost: float | None = None
    optimize: Optimize = "cost"


class ProvisionedJob(Wish, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wish, and the name of the job that is to be submitted for it."""

    name: str | None = None


class Option(Answer, frozen=True, kw_only=True):
    """A hint of the command: its values as they were written, and whether all are numbers."""

    name: str
    values: list[str]
    numeric: bool


class ProfilingRun(Answer, frozen=True, kw_only=True):
    """One profiling run: waiting, running, succeeded, failed or skipped; time in seconds, memory in bytes."""

    position: int
    parameters: dict[str, str]
    cpu: float
    mem: int
    state: str
    reason: str | None = None
    job_id: str | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    memory_peak: int | None = None
    cost: float | None = None


class Template(Answer, frozen=True, kw_only=True):
    """A template as lists show it. `error` is how far predictions are off, as a share of the time (0.1: 10 %)."""

    id: str
    number: int
    name: str
    urn: str
    account: str
    owner: str
    state: TemplateState
    detail: str | None
    command: list[str]
    options: list[Option]
    cpu: list[float]
    mem: list[int]
    runs: int
    ended: int
    failed: int
    spent: float
    budget: float | None
    currency: str
    error: float | None
    created_at: str
    ended_at: str | None = None


class Term(Answer, frozen=True, kw_only=True):
    """A factor of the model: the runtime goes with the `power` of what `name` says (of a text: times e^power)."""

    name: str
    power: float


class Model(Answer, frozen=True, kw_only=True):
    """log time = a + Σ power · log factor, fitted to `samples` runs; `error` by leaving each out in turn."""

    terms: list[Term]
    samples: int
    error: float
    warnings: list[str]


class Submitted(Answer, frozen=True, kw_only=True):
    """A job that was submitted with a chosen allocation: what was predicted, and what came (seconds)."""

    job_id: str
    job_number: int
    parameters: dict[str, str]
    cpu: float
    mem: int
    state: str
    seconds: float
    low: float
    high: float
    cost: float
    actual_seconds: float | None = None
    actual_cost: float | None = None


class TemplateDetail(Template, frozen=True, kw_only=True):
    """A template with its profiling runs, its model once it is ready, and the newest jobs submitted from it."""

    spec: JobSpec
    max_run_time: int
    parallel: int
    profiling: list[ProfilingRun]
    model: Model | None
    submitted: list[Submitted]


class Allocation(Answer, frozen=True, kw_only=True):
    """What one allocation would take and cost, with the interval in which nine of ten runs are expected.

    `obstacle`: why it cannot be had. `frontier`: no other one is both faster and cheaper.
    """

    cpu: float
    mem: int
    seconds: float
    low: float
    high: float
    cost: float
    cost_low: float
    cost_high: float
    obstacle: str | None = None
    frontier: bool = False


class Prediction(Answer, frozen=True, kw_only=True):
    """The allocation that was chosen, all that were looked at, and what to know about how good this is."""

    template: str
    number: int
    parameters: dict[str, str]
    optimize: Optimize
    chosen: Allocation
    allocations: list[Allocation]
    currency: str
    error: float
    warnings: list[str]


class Provisioned(Answer, frozen=True, kw_only=True):
    """A job that was submitted, and what was predicted of it."""

    job_id: str
    job_number: int
    prediction: Prediction
