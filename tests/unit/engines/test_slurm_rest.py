"""What is made of slurmrestd's documents: no Slurm is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dais.engines.contract import LaunchSpec, Limits, Slots
from dais.engines.slurm.commands import Failed, Unreachable
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.requests import script, words
from dais.engines.slurm.rest import _told, as_job, as_node, as_partition, job_of

NODE = {
    "name": "n1", "cpus": 16, "real_memory": 8000, "gres": "gpu:4", "gres_used": "gpu:3", "alloc_cpus": 6,
    "alloc_memory": 3000, "state": "mixed", "state_flags": [], "partitions": ["main"], "reason": "",
}  # fmt: skip


def test_options_of_sbatch_become_those_of_slurmrestd() -> None:
    spec = LaunchSpec(
        attempt_id="a1", argv=("true",), env={}, gpus=("x",), slots=Slots(cpu_millis=2000), limits=Limits(time=90)
    )
    options = SlurmOptions(partition="gpu", constraint="fast", extra=("--mail-type=END", "--contiguous"), overhead=0)
    assert job_of(words(spec, options, Path("/shared/a1"))) == {
        "no_requeue": True, "job_name": "dais-a1", "nodes": "1", "tasks": "1", "cpus_per_task": "2",
        "memory_per_node": "64M", "current_working_directory": "/shared/a1", "standard_output": "/shared/a1/slurm.out",
        "open_mode": "append", "gres": "gpu:1", "time_limit": "3", "partition": "gpu", "constraints": "fast",
        "mail_type": "END", "contiguous": True,
    }  # fmt: skip


def test_jobs_and_nodes_are_read() -> None:
    found = {"name": "dais-a", "job_id": 7, "job_state": "PENDING", "state_reason": "Resources", "cpus": 2,
             "memory_per_node": 64, "tres_per_node": "gres:gpu:2", "nodes": ""}  # fmt: skip
    job = as_job(found)
    assert job is not None
    assert (job.job, job.attempt_id, job.waiting, job.memory, job.gpus) == ("7", "a", True, 64 << 20, 2)
    assert as_job(found | {"name": "somebody-else"}) is None
    node = as_node(NODE)
    assert (node.cpu, node.memory, node.gpus, node.away) == (16, 8000 << 20, 4, None)
    assert node.allocated == (6, 3000 << 20, 3)
    assert as_node(NODE | {"state_flags": ["DRAIN"], "reason": "bad disk"}).away == "drain in Slurm: bad disk"


def test_partitions_are_read() -> None:
    short = as_partition({"name": "short", "flags": ["default"], "max_time_limit": 60})
    assert (short.name, short.default, short.longest) == ("short", True, 3600)
    for none in ({"max_time_limit": 4294967295}, {"max_time_limit": -1}, {}):
        assert as_partition({"name": "main", **none}).longest is None


@pytest.mark.parametrize(
    "error,kind",
    [
        ({"error_code": 2000, "error": "Invalid partition name specified"}, Failed),
        ({"error_code": 9001, "error": "Failure during parsing"}, Failed),
        ({"error_number": -1, "error": "Unspecified error"}, Unreachable),
        ({"error_code": 5004, "error": "Socket timed out"}, Unreachable),
        ({"error_code": 1800, "error": "Unable to contact"}, Unreachable),
    ],
)
def test_refusals_are_told_from_outages(error: dict[str, Any], kind: type[Exception]) -> None:
    """After a refusal nothing has happened; after an outage nobody knows."""
    told = _told([error], None)
    assert type(told) is kind
    assert str(error["error"]) in str(told)


@pytest.mark.parametrize(
    "options,why",
    [
        ({"rest": "unix:///s", "login": "me@there"}, "not by both"),
        ({"rest_token": "/t"}, "say where that is"),
        ({"rest": "ftp://x"}, "rest"),
        ({"rest": "unix://relative"}, "rest"),
        ({"rest_version": "1"}, "rest_version"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=why):
        msgspec.convert(options, SlurmOptions)


def test_a_supervisor_that_no_signal_reaches_is_told_to_look() -> None:
    given = ("/usr/bin/python3", Path("/p"), Path("/d"), Path("/s"), b"key")
    assert " --look <<" in script(*given, look=True)
    assert "--look" not in script(*given)
