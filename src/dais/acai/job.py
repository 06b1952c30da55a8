"""Jobs with file sets, code and output."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import Enum, auto
from pathlib import Path
from pprint import pformat
from typing import Any, Self

import msgspec

from dais.acai.credentials import client
from dais.acai.errors import AcaiError
from dais.sdk.jobs import frame_bytes
from dais.wire.answers import JobDetail
from dais.wire.names import check_job_name
from dais.wire.spec import Input, JobSpec, Resources
from dais.wire.units import parse_cores, parse_size

Amount = int | float | str
_NEEDED = ("name", "command", "container_image")
_FIELDS = (
    *("id", "name", "input_file_set", "output_path", "output_file_set", "code", "command", "container_image"),
    *("description", "submitted_time", "updated_time", "v_cpu", "gpu", "memory", "job_status"),
)
_STATES = {
    "PENDING": "QUEUEING",
    "SCHEDULED": "LAUNCHING",
    "PREPARING": "DOWNLOADING",
    "RUNNING": "RUNNING",
    "FINISHING": "UPLOADING",
    "SUCCEEDED": "FINISHED",
    "FAILED": "FAILED",
    "CANCELLED": "KILLED",
}
_not_in_names = re.compile(r"[^a-z0-9_-]+")
_CRASHES = ("node-lost", "out-of-memory")
_DESCRIPTION = "acai-description"


class JobStatus(Enum):
    """What a job does now."""

    QUEUEING = auto()
    LAUNCHING = auto()
    DOWNLOADING = auto()
    RUNNING = auto()
    UPLOADING = auto()
    FINISHED = auto()
    FAILED = auto()
    KILLED = auto()
    CONTAINER_CRASHED = auto()
    UNKNOWN = auto()

    @staticmethod
    def from_str(string: str) -> JobStatus:
        """The status of a word, however it is written: `Container Crashed`, `ContainerCrashed`."""
        plain = string.upper().replace(" ", "").replace("_", "")
        return next((one for one in JobStatus if one.name.replace("_", "") == plain), JobStatus.UNKNOWN)


class Job:
    """A job: `Job().with_attributes({…}).register().run()`, then `wait()`."""

    def __init__(self) -> None:
        self.id: int | None = None
        self.name: str | None = None
        self.input_file_set: str | None = None
        self.output_path: str | None = None
        self.output_file_set: str | None = None
        self.code: str | None = None
        self.command: str | None = None
        self.container_image: str | None = None
        self.description = ""
        self.submitted_time: str | None = None
        self.updated_time: str | None = None
        self.v_cpu: Amount = "0.5"
        self.gpu: Amount = "0"
        self.memory: Amount = "512Mi"
        self.job_status: JobStatus | None = None

    def __repr__(self) -> str:
        return pformat(self.dict)

    @property
    def dict(self) -> dict[str, Any]:
        """All that is set."""
        return {name: getattr(self, name) for name in _FIELDS if getattr(self, name) is not None}

    def with_attributes(self, d: Mapping[str, Any]) -> Self:
        """Set attributes; unknown ones are ignored."""
        for name, value in d.items():
            if name in _FIELDS:
                setattr(self, name, value)
        return self

    def with_resources(self, vcpu: Amount | None = None, gpu: Amount | None = None, mem: Amount | None = None) -> Self:
        """Set resources: `mem=1e9` is bytes, `mem="100Mi"` a text as Kubernetes has it. Raises SpecError."""
        for name, value in (("v_cpu", vcpu), ("gpu", gpu), ("memory", mem)):
            if value is not None:
                setattr(self, name, value)
        _resources(self)
        return self

    @staticmethod
    def from_dict(d: Mapping[str, Any]) -> Job:
        """A job with these attributes."""
        return Job().with_attributes(d)

    @staticmethod
    def from_json(path: str) -> Job:
        """A job with the attributes of a JSON file."""
        return Job.from_dict(_mapping(json.loads(Path(path).read_text(encoding="utf-8")), path))

    @staticmethod
    def from_yaml(path: str) -> Job:
        """A job with the attributes of a YAML file."""
        import yaml

        return Job.from_dict(_mapping(yaml.safe_load(Path(path).read_text(encoding="utf-8")), path))

    def register(self) -> Self:
        """Check that all that is needed is set. Raises AcaiError."""
        missing = [name for name in _NEEDED if not getattr(self, name)]
        if missing:
            raise AcaiError(f"a job needs {', '.join(missing)}; set them by with_attributes")
        return self

    def run(self) -> Self:
        """Submit the job; it has its id then. Raises AcaiError, SpecError, DaisError."""
        self.register()
        name = _not_in_names.sub("-", str(self.name).lower()).strip("-_")[:63]
        check_job_name(name)
        output = self.output_path.rstrip("/") if self.output_path else None
        base = JobSpec(
            command=("/bin/bash", "-c", str(self.command)),
            resources=_resources(self),
            inputs=(Input(fileset=self.input_file_set.removeprefix("@")),) if self.input_file_set else (),
            tags={_DESCRIPTION: " ".join(self.description.split())[:255]} if self.description else {},
        )
        made = client().jobs.submit(
            spec=base,
            name=name,
            image=self.container_image,
            output=output,
            code=self.code or None,
            enforce_name=True,  # in ACAI names are no more than labels
        )
        return self._take(made)

    @staticmethod
    def list_jobs() -> list[Job]:
        """All jobs of the project, the newest first."""
        found = client().jobs.list(account=client().account, state="all")
        return [Job.find(one.number) for one in found]

    @staticmethod
    def find(job_id: int) -> Job:
        """The job of an id. Raises NotFound."""
        return Job()._take(client().jobs.get(str(job_id)))

    @staticmethod
    def check_job_status(job_id: int) -> JobStatus:
        """What a job does now; UNKNOWN for one that is not there."""
        from dais.sdk.errors import NotFound

        try:
            return Job.find(job_id).status()
        except NotFound:
            return JobStatus.UNKNOWN

    def status(self) -> JobStatus:
        """What the job does now; `output_file_set` is told, too."""
        self._take(client().jobs.get(str(self._number())))
        return self.job_status or JobStatus.UNKNOWN

    def get_output_file_set(self) -> str | None:
        """The file set that it made, or will make."""
        self.status()
        return self.output_file_set

    def wait(self, timeout: float | None = None) -> JobStatus:
        """Wait until it has ended; how. Raises TimeoutError."""
        self._take(client().jobs.wait(str(self._number()), timeout))
        return self.job_status or JobStatus.UNKNOWN

    def get_log(self) -> Mapping[str, Any]:
        """What it has written: `{"jobId", "log"}`."""
        text = b"".join(frame_bytes(frame) for frame in client().jobs.logs(str(self._number())))
        return {"jobId": self.id, "log": text.decode("utf-8", "replace")}

    def _number(self) -> int:
        if self.id is None:
            raise AcaiError("the job has not been submitted; call run() first")
        return self.id

    def _take(self, job: JobDetail) -> Self:
        spec = job.spec
        self.id, self.name, self.container_image = job.number, job.name, job.image
        self.command, self.code = spec.command[-1], spec.code
        self.input_file_set = job.inputs[0].fileset if job.inputs else None
        self.output_path = spec.output.path if spec.output is not None else None
        self.output_file_set = job.outputs[-1].fileset if job.outputs else job.output_fileset
        self.description = job.tags.get(_DESCRIPTION, "")
        self.submitted_time = job.created_at
        self.v_cpu, self.gpu, self.memory = f"{job.cpu:g}", str(job.gpu), f"{job.mem}"
        crashed = job.state == "FAILED" and job.reason in _CRASHES
        self.job_status = JobStatus.CONTAINER_CRASHED if crashed else JobStatus[_STATES.get(job.state, "UNKNOWN")]
        return self


def _resources(job: Job) -> Resources:
    """What is meant; a number of memory is of bytes."""
    memory = str(job.memory).strip()
    try:
        size = int(float(memory))
    except ValueError:
        size = parse_size(memory, "memory")
    gpu = float(job.gpu)
    if not gpu.is_integer() or gpu < 0:
        raise AcaiError(f"gpu {job.gpu!r} is no whole number of GPUs")
    return msgspec.structs.replace(Resources(), cpu=parse_cores(job.v_cpu, "v_cpu"), gpu=int(gpu), mem=size)


def _mapping(found: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise AcaiError(f"{path} holds no mapping of attributes")
    return found
