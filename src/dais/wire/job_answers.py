"""What the native API answers of jobs."""

from __future__ import annotations

import msgspec

from dais.wire.answer import Answer
from dais.wire.spec import JobSpec


class Run(Answer, frozen=True, kw_only=True):
    """One attempt of a job. `state` is as a job's, or INTERRUPTED; `gpus` are the UUIDs of those that it was given."""

    id: str
    index: int
    state: str
    reason: str | None = None
    detail: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    node: str | None = None
    gpus: list[str] = msgspec.field(default_factory=list)
    isolation: list[str] = msgspec.field(default_factory=list)
    missing: list[str] = msgspec.field(default_factory=list)
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    memory_peak: int | None = None
    cpu_seconds: float | None = None
    log_bytes: int | None = None
    log_truncated: bool = False
    log_expired_at: str | None = None


class Change(Answer, frozen=True, kw_only=True):
    """One line of a job's history."""

    at: str
    run: int
    state: str
    reason: str | None = None
    detail: str | None = None


class Job(Answer, frozen=True, kw_only=True):
    """A job as lists show it. `pending_reason` and `place` tell why a waiting job waits and how many are before it
    (100 stands for so many or more). `phase` is `downloading` or `uploading` while its data moves, with the bytes that
    are there and those of all."""

    id: str
    number: int
    name: str | None
    urn: str
    account: str
    account_id: str
    owner: str
    state: str
    reason: str | None = None
    detail: str | None = None
    type: str
    command: list[str]
    image: str
    tags: dict[str, str]
    cpu: float
    mem: int
    gpu: int
    alive: bool
    cancel_requested: bool = False
    pending_reason: str | None = None
    place: int | None = None
    exit_code: int | None = None
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    run_index: int = 0
    runs: list[Run] = msgspec.field(default_factory=list)
    phase: str | None = None
    phase_done: int | None = None
    phase_total: int | None = None


class Delivery(Answer, frozen=True, kw_only=True):
    """A message that tells of a job's end. `state` is WAITING, DELIVERED or GIVEN_UP; `error` is the last one."""

    id: str
    target: str
    state: str
    tries: int
    error: str | None = None
    created_at: str
    next_at: str | None = None
    done_at: str | None = None


class InputSet(Answer, frozen=True, kw_only=True):
    """A version of a file set that a job reads, `name:version`; without `target` in its working directory."""

    id: str
    fileset: str
    target: str | None = None
    files: int
    size: int


class OutputSet(Answer, frozen=True, kw_only=True):
    """The version of a file set that a run made."""

    id: str
    fileset: str
    run: int
    files: int
    size: int


class JobDetail(Job, frozen=True, kw_only=True):
    """A job with all that is known of it.

    `output_fileset` is the name of the set that it makes, `outputs` what its runs made; `has_partial`: what the latest
    run had written is kept aside, for it did not succeed. `idle_warning`: it is about to be stopped, for
    nobody uses it.
    """

    spec: JobSpec
    history: list[Change] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)
    notifications: list[Delivery] = msgspec.field(default_factory=list)
    inputs: list[InputSet] = msgspec.field(default_factory=list)
    output_fileset: str | None = None
    outputs: list[OutputSet] = msgspec.field(default_factory=list)
    has_partial: bool = False
    idle_warning: str | None = None


class JobAddress(Answer, frozen=True, kw_only=True):
    """Where a port or an app of a job is reached. `public`: by everybody; else with a session or a bearer token."""

    url: str
    target: str
    public: bool = False


class Exposed(Answer, frozen=True, kw_only=True):
    """The ports of a job that are open to everybody, and where they are while it runs."""

    job: str
    ports: list[int]
    url: str | None = None
