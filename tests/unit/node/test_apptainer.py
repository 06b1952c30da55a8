"""The command line of Apptainer, as its documentation says; whether Apptainer agrees is unverified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dais.node.apptainer import NoImage, command, ready, variables
from dais.node.spec import LaunchSpec, SpecError

IMAGE = "/shared/images/x.sif"


def spec(**fields: Any) -> LaunchSpec:
    argv = ["python", "train.py", "--lr", "1"]
    document = {"attempt_id": "a", "argv": argv, "root": IMAGE, "env": {"HOME": "/home/work"}}
    return LaunchSpec({**document, **fields})


def bind(source: str, target: str, *, read_only: bool = True) -> dict[str, Any]:
    return {"source": source, "target": target, "read_only": read_only}


def test_everything_of_a_launch_is_in_the_command_line() -> None:
    binds = [bind("/d/jobs/1/work", "/home/work", read_only=False), bind("/d/sets/a", "/inputs")]
    made = command("/usr/bin/apptainer", IMAGE, spec(binds=binds, workdir="/home/work/inner"))
    assert made == [
        "/usr/bin/apptainer", "--quiet", "exec", "--userns", "--containall", "--no-privs", "--cleanenv",
        "--net", "--network", "none", "--home", "/d/jobs/1/work:/home/work", "--bind", "/d/sets/a:/inputs:ro",
        "--cwd", "/home/work/inner", IMAGE, "python", "train.py", "--lr", "1",
    ]  # fmt: skip


def test_without_a_home_none_is_shown_and_gpus_and_the_hosts_network_are_as_asked() -> None:
    made = command("apptainer", IMAGE, spec(network="host", env={"CUDA_VISIBLE_DEVICES": "1"}))
    assert "--no-home" in made
    assert "--nv" in made
    assert "--net" not in made
    assert "--nv" not in command("apptainer", IMAGE, spec(env={"CUDA_VISIBLE_DEVICES": ""}))


def test_variables_keep_their_values_and_home_is_apptainers() -> None:
    given = {"PATH": "/opt/bin", "TEXT": "a 'b' $c\nd", "HOME": "/home/work"}
    assert variables(given) == {"APPTAINERENV_PATH": "/opt/bin", "APPTAINERENV_TEXT": "a 'b' $c\nd"}


@pytest.mark.parametrize(
    "fields,words",
    [
        ({"network": "internet"}, "internet"),
        ({"files": [{"target": "/run/key", "content": "eA=="}]}, "/run/key"),
        ({"binds": [bind("/a,b", "/c")]}, "/a,b"),
        ({"binds": [bind("/a", "/c:rw")]}, "/c:rw"),
    ],
)
def test_what_cannot_be_given_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        command("apptainer", IMAGE, spec(**fields))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoImage, match="there is no image"):
        ready("apptainer", str(tmp_path / "absent.sif"), str(tmp_path))
