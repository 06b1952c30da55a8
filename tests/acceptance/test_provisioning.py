"""A template in a real installation: a workload whose work grows with `--n` is profiled, predicted and run."""

from __future__ import annotations

import json

import msgspec
import pytest

from dais.wire.spec import JobSpec
from dais.wire.templates import TemplateDetail
from tests.support.installation import Installation
from tests.support.supervisor import until

MIB = 1 << 20
WORK = """
import sys
total = 0
for number in range(int(sys.argv[2]) * 100_000):
    total += number * number
print(total)
"""
SIZES = "{4,12,36}"


def ended(own: Installation, ref: str) -> TemplateDetail:
    def over() -> TemplateDetail | None:
        found = own.client().templates.get(ref)
        return found if found.ended_at is not None else None

    found: TemplateDetail = until(over, f"template {ref} is profiled")
    return found


@pytest.mark.slow
def test_work_that_grows_is_learned_and_predicted(own: Installation) -> None:
    command = ("--", "python3", "-c", WORK, "--n", SIZES)
    given = ("--name", "squares", "--no-source", "--cpu", "0.5,1", "--mem", "64Mi,128Mi", "--parallel", "1", "--wait")
    made = json.loads(own.dais("template", "new", *given, "--json", *command).stdout)
    assert (made["state"], made["runs"], made["failed"]) == ("ready", 12, 0), made
    power = {term["name"]: term["power"] for term in made["model"]["terms"]}
    assert power["n"] > 0.1, made
    found = json.loads(own.dais("template", "predict", "squares", "n=72", "--json").stdout)
    assert any("n lies outside" in warning for warning in found["warnings"])
    assert found["chosen"]["cost"] == min(one["cost"] for one in found["allocations"] if one["obstacle"] is None)
    assert b"@ chosen" in own.dais("template", "predict", "squares", "n=20", "--max-time", "1h").stdout
    refused = own.dais("template", "predict", "squares", "n=20", "--max-cost", "0.000000000001")
    assert b"the nearest is" in refused.stderr
    sent = json.loads(own.dais("template", "run", "squares", "n=20", "--json").stdout)
    assert own.wait(sent["job_id"]).state == "SUCCEEDED"
    (job,) = own.client().templates.get("squares").submitted
    assert job.actual_seconds is not None
    assert job.actual_seconds > 0
    assert b"predicted" in own.dais("template", "show", "squares").stdout
    assert b"squares" in own.dais("template", "ls").stdout
    own.dais("template", "cancel", "squares")
    own.dais("template", "rm", "squares")
    assert json.loads(own.dais("template", "ls", "--json").stdout) == []


@pytest.mark.slow
def test_profiling_goes_on_after_kills_of_the_server(own: Installation) -> None:
    spec = JobSpec(command=("sh", "-c", "sleep {0.3,0.6}"))
    own.client().templates.new("naps", spec, cpu=[0.25, 0.5], mem=[32 * MIB, 64 * MIB], parallel=2)
    for reached in (1, 3, 5):
        until(lambda: own.client().templates.get("naps").ended >= reached, f"{reached} runs have ended")  # noqa: B023
        own.kill()
        own.start()
    found = ended(own, "naps")
    assert (found.state, found.runs, found.ended, found.failed) == ("ready", 8, 8, 0), msgspec.json.encode(found)
    jobs = list(own.client().jobs.list(tag="dais.template=naps", state="all"))
    assert sorted(job.id for job in jobs) == sorted(run.job_id or "" for run in found.profiling)
