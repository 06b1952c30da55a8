"""The services `job_registry`, `job_monitor` and `log_server`: jobs by their numbers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from dais.api.compat.acai.calls import Call, Calls, entity
from dais.api.rest.jobs import make_job
from dais.compute import JobFilter, JobLog, get_job, job_log, list_jobs
from dais.engines.contract import SYSTEM
from dais.kit.errors import Conflict, Invalid, NotFound
from dais.wire import answers
from dais.wire.inputs import read_code, read_output
from dais.wire.problems import SpecError
from dais.wire.spec import Input, JobSpec, Resources
from dais.wire.units import parse_cores, parse_size

calls = Calls()

Made = TypeVar("Made")

MAX_LOG = 16 << 20
"""Bytes of a log that are answered: its beginning."""

DEFAULT_MEMORY = 512 << 20
NAME, DESCRIPTION = "acai-name", "acai-description"
"""Tags that keep what a job of ACAI is called."""

STATUS = {
    "PENDING": "Queueing",
    "SCHEDULED": "Launching",
    "PREPARING": "Downloading",
    "RUNNING": "Running",
    "FINISHING": "Uploading",
    "SUCCEEDED": "Finished",
    "FAILED": "Failed",
    "CANCELLED": "Killed",
}
CRASHES = ("node-lost", "out-of-memory")
"""Reasons of failure that ACAI calls a crashed container; in one word, for its client knows no other."""

_not_in_names = re.compile(r"[^a-z0-9_-]+")


@calls.add("POST", "/job_registry/new_job", "/job_scheduler/new_job")
async def new_job(call: Call) -> Any:
    """Submit a job. Values that the client left at its mistaken defaults are put right."""
    try:
        spec = _spec(call)
    except SpecError as error:
        raise Invalid(str(error), code=error.code) from error
    job = await _made(call, spec)
    return {"status": {"message": "launching"}, "job": shown_job(job)}


@calls.add("GET", "/job_registry/job")
async def one_job(call: Call) -> Any:
    """What is known of a job."""
    return shown_job(await get_one(call, call.text("job_id")))


@calls.add("GET", "/job_registry/jobs")
async def all_jobs(call: Call) -> Any:
    """The project's jobs, the newest first; at most a thousand."""
    wanted = JobFilter(account=call.account.id, owner_id=None)
    page = await call.read(list_jobs, wanted, limit=1000, cursor=None)
    return [shown_job(await get_one(call, job.id)) for job in page.items]


@calls.add("POST GET", "/job_monitor/job_status")
async def job_status(call: Call) -> Any:
    """What jobs do now; those that are not there are left out."""
    found = []
    for number in call.items("ids"):
        try:
            job = await get_one(call, str(number))
        except NotFound:
            continue
        found.append(
            {"id": job.number, "job_id": job.number, "output_file_set": _output(job), "job_status": status_of(job)}
        )
    return found


@calls.add("GET", "/log_server/get_job_log")
async def get_log(call: Call) -> Any:
    """What a job has written so far, as text."""
    ref = call.text("job_id")
    with entity(ref):
        log: JobLog = await call.read(job_log, ref, call.account.id)
    book = call.services.compute.logbook
    text, position = b"", None
    while len(text) < MAX_LOG:
        part = await book.read(log, position)
        text += b"".join(frame.data for frame in part.frames if frame.stream != SYSTEM)
        if part.eof or part.position == part.start:
            break
        position = part.position
    return {"jobId": int(ref) if ref.isdigit() else ref, "log": text[:MAX_LOG].decode("utf-8", "replace")}


def status_of(job: answers.Job) -> str:
    """The state in ACAI's words."""
    if job.state == "FAILED" and job.reason in CRASHES:
        return "ContainerCrashed"
    return STATUS.get(job.state, "Unknown")


async def get_one(call: Call, ref: str) -> answers.JobDetail:
    """A job of the project, by its number."""
    with entity(ref):
        job: answers.JobDetail = await call.read(get_job, ref, account=call.account.id)
    if job.account_id != call.account.id:
        raise NotFound(f"Entity {ref[:40]} does not exist.", code="no-such-job")
    return job


async def _made(call: Call, spec: JobSpec) -> answers.JobDetail:
    async def make(name: str | None) -> answers.JobDetail:
        named = msgspec.structs.replace(spec, name=name)
        return await with_known_image(call, named, lambda one: make_job(call.services, call.actor, one, None))

    return await under_free_name(spec.name, make)


async def under_free_name(name: str | None, make: Callable[[str | None], Awaitable[Made]]) -> Made:
    """Make something, under another name while there is one of this name."""
    wanted = name
    for attempt in range(100):
        try:
            return await make(wanted)
        except Conflict as error:
            if name is None or error.code != "already-exists" or attempt == 99:
                raise
            wanted = f"{name[:58]}-{attempt + 2}"
    raise AssertionError("unreachable")


async def with_known_image(call: Call, spec: JobSpec, make: Callable[[JobSpec], Awaitable[Made]]) -> Made:
    """Make something of a spec, with the image that stands for unknown ones where its own is not known."""
    fallback = call.settings.fallback_image
    try:
        return await make(spec)
    except (NotFound, Invalid) as error:
        if not fallback or "image" not in error.code or spec.image == fallback:
            raise
        return await make(msgspec.structs.replace(spec, image=fallback))


def plain_name(name: str) -> str | None:
    """A name that a job may have here, or None."""
    return _not_in_names.sub("-", name.lower()).strip("-_")[:63] or None


def job_tags(call: Call) -> dict[str, str]:
    """Tags that keep what a job is called and said to be."""
    name, description = call.text("name", ""), call.text("description", "")
    tags = {NAME: name[:255], DESCRIPTION: " ".join(description.split())[:255]}
    return {key: value for key, value in tags.items() if value}


def _spec(call: Call) -> JobSpec:
    output = call.text("output_path", "")
    fileset = call.text("output_file_set", "") if call.values.get("output_file_set") else ""
    code = call.text("code", "") if call.values.get("code") else ""
    inputs = call.text("input_file_set", "") if call.values.get("input_file_set") else ""
    made = read_output(output.rstrip("/") or output, "output_path") if output else None
    if made is not None and fileset:
        made = msgspec.structs.replace(made, fileset=fileset)
    return JobSpec(
        command=("/bin/bash", "-c", call.text("command")),
        name=plain_name(call.text("name", "")),
        account=call.account.id,
        image=call.text("container_image", "") or None,
        resources=resources(call.values.get("v_cpu"), call.values.get("gpu"), call.values.get("memory")),
        tags=job_tags(call),
        inputs=(Input(fileset=inputs.removeprefix("@")),) if inputs else (),
        output=made,
        code=read_code(code, "code") if code else None,
    )


def resources(cpu: Any, gpu: Any, memory: Any) -> Resources:
    """What is meant. The client's defaults for gpu and memory are in each other's place, and are put right."""
    if _whole(gpu) is None and _bytes(gpu):
        gpu, memory = 0, memory if _bytes(memory) else gpu
    return Resources(
        cpu=parse_cores(_upper(cpu), "v_cpu") if cpu else 0.5,
        gpu=_whole(gpu) or 0,
        mem=_bytes(memory) or DEFAULT_MEMORY,
    )


def _upper(value: Any) -> Any:
    """The upper end of a range `1-2`, which the client makes of pairs."""
    return value.rpartition("-")[2] if isinstance(value, str) else value


def _whole(value: Any) -> int | None:
    if value in (None, "", False):
        return 0
    try:
        number = float(_upper(value))
    except (TypeError, ValueError):
        return None
    if not number.is_integer() or not 0 <= number <= 1_000_000:
        raise Invalid(f"gpu {str(value)[:40]!r} is no whole number of GPUs", code="bad-parameter")
    return int(number)


def _bytes(value: Any) -> int:
    """Bytes; a plain number is of bytes, as Kubernetes has it."""
    text = str(_upper(value) if value is not None else "").strip()
    if not text:
        return 0
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return parse_size(text, "memory")


def _output(job: answers.JobDetail) -> str | None:
    return job.outputs[-1].fileset if job.outputs else job.output_fileset


def shown_job(job: answers.JobDetail) -> Any:
    """A job as ACAI has it."""
    spec = job.spec
    return {
        "id": job.number,
        "name": job.tags.get(NAME, job.name),
        "code": spec.code,
        "command": spec.command[-1],
        "description": job.tags.get(DESCRIPTION, ""),
        "v_cpu": f"{job.cpu:g}",
        "vcpu": f"{job.cpu:g}",
        "gpu": str(job.gpu),
        "memory": f"{job.mem >> 20}Mi" if job.mem % (1 << 20) == 0 else str(job.mem),
        "hidden": False,
        "type": "DEFAULT",
        "nnode": 1,
        "framework": None,
        "shm": None,
        "input_file_set": job.inputs[0].fileset if job.inputs else None,
        "output_path": spec.output.path if spec.output is not None else None,
        "output_file_set": _output(job),
        "user_id": job.owner,
        "project_id": job.account.rpartition(".")[2],
        "container_image": job.image,
        "submitted_time": job.created_at[:23].rstrip("Z") + "+0000",
        "job_status": status_of(job),
    }
