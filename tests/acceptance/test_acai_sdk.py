"""The public SDK of ACAI, unmodified: `DAIS_TEST_ACAISDK` names a checkout of it.

`DAIS_TEST_ACAISDK_PYTHON` is an interpreter that has what the SDK requires; without it this one is asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.acai import zipped
from tests.support.installation import Installation, installation

SDK = os.environ.get("DAIS_TEST_ACAISDK", "")
PYTHON = os.environ.get("DAIS_TEST_ACAISDK_PYTHON", sys.executable)
PATIENCE = 300
WORDS = """
import pathlib, sys
text = "".join(path.read_text() for path in sorted(pathlib.Path("shakespeare").glob("*.txt")))
(pathlib.Path(sys.argv[1]) / "count").write_text(str(len(text.split())))
print("counted")
"""
WORKFLOW = """
import inspect, json, os, sys
from acaisdk.configs import get_configs
from acaisdk.file import File
from acaisdk.fileset import FileSet
from acaisdk.job import Job, JobStatus
from acaisdk.project import Project

port, admin, here = int(sys.argv[1]), os.environ.pop("ADMIN"), sys.argv[2]
get_configs().update(cred_endpoint="127.0.0.1", cred_endpoint_port=port)
asked = {"project_id": "public", "admin_token": admin, "project_admin": "boss", "budget": 10, "csp": "AWS"}
known = inspect.signature(Project.create_project).parameters
made = Project.create_project(**{name: value for name, value in asked.items() if name in known})
Project.create_user("public", made["admin_token"], "alice")
mapped = File.convert_to_file_mapping([here + "/texts/"], "/shakespeare/")
mapped = getattr(mapped, "files_to_upload", mapped)
(mapped[0] if isinstance(mapped, tuple) else mapped).upload().as_new_file_set("shakespeare.texts")
File.upload({here + "/words.zip": "/words.zip"})
job = Job().with_attributes({
    "v_cpu": "0.2", "memory": "64Mi", "gpu": "0", "container_image": "pytorch/pytorch", "name": "my_acai_job",
    "command": "mkdir -p ./my_output/ && python3 words.py ./my_output/", "code": "/words.zip",
    "input_file_set": "shakespeare.texts", "output_path": "./my_output/", "description": "count some words",
}).register().run()
state = job.wait()
FileSet.download_file_set(job.output_file_set, here, force=True)
print("RESULT", json.dumps({"state": state.name, "log": Job.find(job.id).get_log()["log"], "set": job.output_file_set}))
"""


def lacking() -> str:
    """Why the SDK cannot be run; empty where it can."""
    if not SDK:
        return "DAIS_TEST_ACAISDK names no checkout of acaisdk"
    if not (Path(SDK) / "acaisdk" / "job.py").is_file():
        return f"DAIS_TEST_ACAISDK: {SDK} is no checkout of acaisdk"
    asked = subprocess.run(
        [PYTHON, "-c", "import acaisdk.job"], env={**os.environ, "PYTHONPATH": SDK}, capture_output=True, timeout=60
    )
    return asked.stderr.decode(errors="replace")[-300:] if asked.returncode else ""


REASON = lacking()


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    with installation(settings={"DAIS_ACAI_FALLBACK_IMAGE": "host"}) as running:
        yield running


@pytest.mark.slow
@pytest.mark.skipif(bool(REASON), reason=REASON)
def test_the_public_sdk_works_from_a_project_to_an_output(place: Installation, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "lear.txt").write_text("Nothing will come of nothing")
    (tmp_path / "texts" / "void.txt").touch()
    (tmp_path / "words.zip").write_bytes(zipped(**{"words.py": WORDS}))
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": SDK, "ADMIN": place.token}
    ran = subprocess.run(
        [PYTHON, "-c", WORKFLOW, str(place.port), str(tmp_path)], env=home, capture_output=True, timeout=PATIENCE
    )
    said = (ran.stdout + ran.stderr).decode(errors="replace")
    assert ran.returncode == 0, said
    (line,) = [line for line in said.splitlines() if line.startswith("RESULT ")]
    result = json.loads(line.removeprefix("RESULT "))
    assert (result["state"], result["set"].startswith("job_")) == ("FINISHED", True), said
    assert "counted" in result["log"]
    assert (tmp_path / "my_output" / "count").read_text() == "5"
