"""From a run to what its engine starts: pure, so that it can be made again after a restart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from dais.compute.interactive.home import BOOTSTRAP_FILE, WITH_BOOTSTRAP
from dais.compute.jobs.types import Work
from dais.compute.secrets.types import Given
from dais.compute.settings import ComputeSettings
from dais.engines.contract import Bind, HostTools, LaunchSpec, Limits, Slots, Terminal
from dais.wire.inputs import WORK_DIRECTORY
from dais.wire.reports import FILE, SOCKET
from dais.wire.spec import Resources

WORK = WORK_DIRECTORY
"""Where the staged source is, and where a job begins, unless it names another directory."""
ENVIRONMENT = "/opt/dais/env"
"""Where the job's environment is."""
REPORTS = "/opt/dais/reports"
"""Where the socket is that the job may report to."""
TOOLS = "/opt/dais/bin"
"""Where `python` and `python3` of the host image are."""

_system_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Staged:
    """Host paths of what was staged for a run."""

    work: Path
    tools: Path
    environment: Path | None = None
    mounts: tuple[Bind, ...] = ()
    reports: Path | None = None
    """The directory with its socket."""


NOTHING = Given()


def launch_spec(
    work: Work, staged: Staged, host: HostTools, settings: ComputeSettings, secrets: Given = NOTHING
) -> LaunchSpec:
    """What the engine is given for a run. It may hold secrets: it goes to the engine and nowhere else."""
    contained = is_contained(host)
    on_host = work.root is None and has_host_image(host)
    resources = work.spec.resources
    binds: tuple[Bind, ...] = ()
    if contained:
        binds = (
            Bind(source=str(staged.work), target=WORK, read_only=False),
            *((Bind(source=str(staged.tools), target=TOOLS),) if on_host else ()),
            *((Bind(source=str(staged.environment), target=ENVIRONMENT),) if staged.environment else ()),
            *((Bind(source=str(staged.reports), target=REPORTS),) if staged.reports else ()),
            *staged.mounts,
        )
    time_limit = work.spec.max_run_time or settings.default_max_run_time or None
    if work.spec.type == "interactive" and settings.interactive_max_run_time:
        time_limit = min(time_limit or settings.interactive_max_run_time, settings.interactive_max_run_time)
    has_bootstrap = any(file.target == BOOTSTRAP_FILE for file in secrets.files)
    return LaunchSpec(
        attempt_id=work.run_id,
        argv=(*WITH_BOOTSTRAP, *work.spec.command) if has_bootstrap else work.spec.command,
        env=job_environment(work, staged, host) | secrets.variables,
        workdir=work.spec.workdir or (WORK if contained else str(staged.work)),
        root=work.root or "host",
        image=None if has_host_image(host) else work.image,
        binds=binds,
        files=secrets.files,
        ro_host=host.paths if contained and on_host else (),
        gpus=work.gpus,
        network=work.spec.network,
        hostname=work.job_id,
        uid=None if host.lease else host.uid,
        gid=None if host.lease else host.gid,
        lease=host.lease,
        pty=Terminal() if work.spec.pty else None,
        limits=Limits(
            cpu=resources.cpu,
            memory=resources.mem,
            shm=shm_bytes(resources),
            log=settings.log_limit,
            time=time_limit,
            grace=settings.stop_grace,
        ),
        slots=Slots(cpu_millis=int(resources.cpu * 1000), memory=resources.mem),
        isolation=host.isolation,
        bid=work.spec.bid,
        owner=work.owner_id,
        labels=_labels(work) if host.labelled else {},
    )


def _labels(work: Work) -> dict[str, str]:
    return {
        "dais.job": work.job_id,
        "dais.run": str(work.run_index),
        "dais.name": work.job_name or "",
        "dais.account": work.account,
        "dais.user": work.user,
        "dais.group": work.group,
    }


def is_contained(host: HostTools) -> bool:
    """Whether containers have a file system of their own, in which things lie where WORK and its like say."""
    return host.isolation != "process"


def has_host_image(host: HostTools) -> bool:
    """Whether there is the image `host`, the machine's own tools; else each container starts from an image's name."""
    return host.interpreter != ""


def shm_bytes(resources: Resources) -> int:
    """The size of `/dev/shm`: as asked, else half of the memory and at most 2 GiB."""
    return resources.shm if resources.shm is not None else min(resources.mem // 2, 2 << 30)


def job_environment(work: Work, staged: Staged, host: HostTools) -> dict[str, str]:
    """The variables that every job gets, then those that its spec names (which cannot be `DAIS_*` or `EAI_*`)."""
    contained = is_contained(host)
    tools = TOOLS if contained else str(staged.tools)
    home = WORK if contained else str(staged.work)
    resources = work.spec.resources
    threads = str(max(1, math.ceil(resources.cpu)))
    variables = {
        "PATH": f"{tools}:{_system_path}" if work.root is None and has_host_image(host) else _path_of(work),
        "HOME": home,
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color" if work.spec.pty else "dumb",
        "TMPDIR": "/tmp",  # noqa: S108 (the job's own)
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": threads,
        "OMP_THREAD_LIMIT": threads,
        "CUDA_VISIBLE_DEVICES": ",".join(work.gpus),  # empty hides them all
        "NVIDIA_VISIBLE_DEVICES": ",".join(work.gpus) or "none",
        "PRETEND_CPUS": threads,  # by which programs written for the Element AI Toolkit size themselves
        "PRETEND_MEM": str(resources.mem),
    }
    if staged.environment is not None:
        environment = ENVIRONMENT if contained else str(staged.environment)
        variables["VIRTUAL_ENV"] = environment
        variables["PATH"] = f"{environment}/bin:{variables['PATH']}"
    facts = {
        "JOB_ID": work.job_id,
        "RUN_INDEX": str(work.run_index),
        "ACCOUNT_ID": work.account_id,
        "USER": work.user,
        "CPU_LIMIT": f"{resources.cpu:g}",
        "MEMORY_LIMIT": str(resources.mem),
        "TARGET_NODE": work.node,
    }
    for name, value in facts.items():
        variables[f"DAIS_{name}"] = variables[f"EAI_{name}"] = value
    variables |= {
        "DAIS_JOB_NAME": work.job_name or "",
        "DAIS_JOB_NUMBER": str(work.job_number),
        "DAIS_ACCOUNT": work.account,
        "DAIS_GROUP": work.group,
    }
    variables["DAIS_REPORT"] = f"{home}/{FILE}"
    if staged.reports is not None:
        variables["DAIS_SOCKET"] = f"{REPORTS if contained else staged.reports}/{SOCKET}"
    counted = dict.fromkeys(work.pin.counted, threads) if work.pin else {}
    return variables | counted | work.spec.environment


def _path_of(work: Work) -> str:
    """An image knows best where its programs are."""
    return (work.pin.path if work.pin else None) or _system_path
