"""Jobs as the Element AI Toolkit has them: states, fields in camelCase, and the document of a specification.

The `eai` command prints them, and the facade of that system's REST answers them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from dais.wire import answers
from dais.wire.read import human
from dais.wire.spec import GIB, JobSpec

STATES = {
    "PENDING": "QUEUING",
    "SCHEDULED": "QUEUED",
    "PREPARING": "QUEUED",
    "RUNNING": "RUNNING",
    "FINISHING": "RUNNING",
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "FAILED",
    "CANCELLED": "CANCELLED",
    "INTERRUPTED": "INTERRUPTED",
}
CANCELLING = "CANCELLING"
INTERRUPTIONS = ("preempted", "node-lost")
"""Reasons of failure that are no doing of the job's program: the state is INTERRUPTED."""

PORT = 8080
"""The port that a job's own address leads to."""

_selected = {
    "QUEUING": ("PENDING",),
    "QUEUED": ("SCHEDULED", "PREPARING"),
    "RUNNING": ("RUNNING", "FINISHING"),
    "CANCELLING": ("alive",),
    "SUCCEEDED": ("SUCCEEDED",),
    "FAILED": ("FAILED",),
    "CANCELLED": ("CANCELLED",),
    "INTERRUPTED": ("FAILED",),
}


class Shown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of what is shown in that system's way."""


class Tag(Shown, frozen=True, kw_only=True):
    """A tag; one without a value has the value ""."""

    key: str
    value: str


class Run(Shown, frozen=True, kw_only=True):
    """One attempt of a job. Times are RFC 3339 without fractions of seconds; `run_time` is in seconds."""

    id: str
    job_id: str
    state: str
    info: str | None = None
    created_on: str
    queued_on: str | None = None
    started_on: str | None = None
    ended_on: str | None = None
    cancel_requested_on: str | None = None
    cancelled_on: str | None = None
    run_time: int | None = None
    exit_code: int | None = None
    result: str | None = None
    ip: str | None = None
    node_name: str | None = None


class Wanted(Shown, frozen=True, kw_only=True):
    """Resources: cores, GB of memory, GPUs."""

    cpu: float
    mem: float
    gpu: int


class Job(Shown, frozen=True, kw_only=True):
    """A job. What only its specification tells is None in lists."""

    id: str
    name: str | None
    full_name: str | None
    urn: str
    account: str
    account_id: str
    created_by: str
    state: str
    state_info: str | None = None
    alive: bool
    command: list[str]
    image: str
    tags: list[Tag]
    interactive: bool
    created: str
    created_on: str
    access_url: str | None = None
    resources: Wanted
    runs: list[Run] = []
    preemptable: bool | None = None
    restartable: bool | None = None
    bid: int | None = None
    max_run_time: int | None = None
    workdir: str | None = None
    data: list[str] | None = None
    environment_vars: list[str] | None = None
    replicas: int = 1


class Jobs(Shown, frozen=True, kw_only=True):
    """A list of jobs."""

    items: list[Job]


def shown_job(job: answers.Job, access_url: str | None = None) -> Job:
    """A job of the native API in that system's words."""
    more: dict[str, Any] = {}
    if isinstance(job, answers.JobDetail):
        written = job_document(job.spec)
        more = {
            "preemptable": job.spec.preemptable,
            "restartable": job.spec.restartable,
            "bid": job.spec.bid,
            "max_run_time": job.spec.max_run_time,
            "workdir": job.spec.workdir,
            "data": [str(one) for one in written.get("data", [])],
            "environment_vars": written.get("environmentVars", []),
        }
    return Job(
        id=job.id,
        name=job.name,
        full_name=f"{job.account}.{job.name}" if job.name else None,
        urn=job.urn,
        account=job.account,
        account_id=job.account_id,
        created_by=job.owner,
        state=state_of(job),
        state_info=job.pending_reason or job.detail or job.reason,
        alive=job.alive,
        command=job.command,
        image=job.image,
        tags=[Tag(key=key, value=value) for key, value in job.tags.items()],
        interactive=job.type == "interactive",
        created=_second(job.created_at),
        created_on=_second(job.created_at),
        access_url=access_url,
        resources=Wanted(cpu=job.cpu, mem=job.mem / GIB, gpu=job.gpu),
        runs=[_run(job, run) for run in job.runs],
        **more,
    )


def state_of(job: answers.Job) -> str:
    """A job's state: CANCELLING while its end is asked for, INTERRUPTED when the platform took its place away."""
    if job.alive and job.cancel_requested:
        return CANCELLING
    if job.state == "FAILED" and job.reason in INTERRUPTIONS:
        return "INTERRUPTED"
    return STATES.get(job.state, job.state)


def select_states(names: Sequence[str]) -> tuple[list[str], set[str] | None]:
    """For `alive`, `all` and states of that system: what to ask the native API for, and which of the found are meant.

    None: all of them. Raises ValueError for a name that is no state.
    """
    asked: list[str] = []
    meant: set[str] | None = set()
    for name in names:
        word = name.strip()
        if word.lower() in ("alive", "all"):
            asked.append(word.lower())
            meant = None
        elif word.upper() in _selected:
            asked += _selected[word.upper()]
            if meant is not None:
                meant.add(word.upper())
        else:
            raise ValueError(f"{name!r} is not a state; there are {', '.join(_selected)}, alive, all")
    return list(dict.fromkeys(asked)), meant


def job_document(spec: JobSpec) -> dict[str, Any]:
    """The document that people of that system would write for a specification; `wire.read` reads it back."""
    document: dict[str, Any] = {}
    for key, value in human(spec).items():
        if key == "environment":
            document["environmentVars"] = [f"{name}={text}" for name, text in value.items()]
        elif key == "tags":
            document["tags"] = [f"{name}={text}" if text else name for name, text in value.items()]
        elif key == "type":
            document["interactive"] = value == "interactive"
        elif key == "max_run_time":
            document["maxRunTime"] = spec.max_run_time
        else:
            document[re.sub(r"_([a-z])", lambda found: found[1].upper(), key)] = value
    return document


def _run(job: answers.Job, run: answers.Run) -> Run:
    state = STATES.get(run.state, run.state)
    current = run.index == job.run_index
    if current and job.alive and job.cancel_requested:
        state = CANCELLING
    return Run(
        id=run.id,
        job_id=job.id,
        state=state,
        info=run.detail or run.reason,
        created_on=_second(run.created_at),
        queued_on=_second(run.created_at),
        started_on=run.started_at and _second(run.started_at),
        ended_on=run.ended_at and _second(run.ended_at),
        cancelled_on=_second(run.ended_at) if run.ended_at and run.state == "CANCELLED" else None,
        run_time=_seconds(run.started_at, run.ended_at),
        exit_code=run.exit_code,
        result=run.reason,
        node_name=run.node,
    )


def _second(instant: str) -> str:
    return re.sub(r"\.\d+Z$", "Z", instant)


def _seconds(begin: str | None, end: str | None) -> int | None:
    if begin is None or end is None:
        return None
    return int((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())
