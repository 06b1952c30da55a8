"""Templates as ACAI's client registers them, against a real installation: profiled, predicted and run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.acai import Remote, RemoteError, ended, project, zipped
from tests.support.installation import Installation, installation
from tests.support.supervisor import until

SQUARES = """
import pathlib, sys
total = sum(number * number for number in range(int(sys.argv[2]) * 50_000))
pathlib.Path("out").mkdir()
pathlib.Path("out/total").write_text(str(total + len(pathlib.Path("profiled/in.txt").read_text())))
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Installation]:
    """With an image that stands for those of ACAI."""
    with installation(settings={"DAIS_ACAI_FALLBACK_IMAGE": "host"}) as running:
        yield running


@pytest.fixture(scope="module")
def user(place: Installation) -> Remote:
    """Who profiles."""
    return project(place, "mine")


def squares(user: Remote, directory: str) -> dict[str, object]:
    """A template's request, of data that is there once it is called."""
    ids = user.upload({f"/{directory}/in.txt": b"four", f"/{directory}.zip": zipped(**{"squares.py": SQUARES})})
    made = user.post("storage", "create_file_set", name=f"{directory}.set", files=ids[:1], hash="x")
    return {
        "name": "Squares",
        "input_file_set": made["id"],
        "code": f"/{directory}.zip",
        "command_template": "python3 squares.py --epoch {1,2,5}",
        "container_image": "pytorch/pytorch",
        "memory_space": [64],
        "cpu_space": [0.5, 1],
    }


def test_a_template_is_profiled_and_a_job_provisioned(user: Remote) -> None:
    asked = squares(user, "profiled")
    of = {"input_file_set": asked["input_file_set"], "code": asked["code"]}
    assert user.get("profiler", "similar_job", **of) == []
    made = user.post("profiler", "register_template", **asked)
    assert (made["allOptionsSer"], made["command_template"]) == ("[[1,2,5]]", "python3 squares.py --epoch %d")
    assert (made["memory_space"], made["cpu_space"], made["state"]) == ([64], [0.5, 1.0], "submitted")
    again = user.post("profiler", "register_template", **{**asked, "memory_space": ["64Mi"]})
    assert (made["name"], again["name"]) == ("squares", "squares-2")
    assert [one["id"] for one in user.get("profiler", "similar_job", **of)] == [again["id"], made["id"]]
    job = {
        "name": "Real run", "description": "sum of squares", "template_id": made["id"], "parameters": [7],
        "output_path": "./out/", "output_file_set": "sums", "max_time": 60, "max_cost": 5, "optimize": "cost",
    }  # fmt: skip

    def sent() -> Any:
        try:
            return user.post("auto_provisioner", "new_job", **job)
        except RemoteError as error:
            if "is still being profiled" not in error.text:
                raise
            return None

    answer = until(sent, "the template is profiled")
    assert answer["success"] is True
    assert 0 < answer["expected_time"] < 60
    assert 0 < answer["expected_cost"] < 5
    run = answer["submission"]["job"]
    assert (run["name"], run["description"], run["type"]) == ("Real run", "sum of squares", "AUTOPROVISION")
    assert run["command"] == "python3 squares.py --epoch 7"
    assert ended(user, run["id"]) == "Finished", user.get("log_server", "get_job_log", job_id=run["id"])
    found = user.get("storage", "download_file_set", vague_name="sums")
    total = sum(number * number for number in range(350_000)) + 4
    assert {one["path"]: user.fetch(one["url"]) for one in found["files"]} == {"/out/total": str(total).encode()}
    refused = user.post("auto_provisioner", "new_job", **{**job, "max_cost": 1e-12})
    assert refused["success"] is False
    assert "the nearest is" in refused["message"]
    user.upload({"/profiled.zip": zipped(**{"squares.py": "print()"})})
    assert user.get("profiler", "similar_job", **of) == [], "of another version of the code"


def test_bad_templates_and_provisioned_jobs_are_refused(place: Installation, user: Remote) -> None:
    asked = squares(user, "refused")
    for wrong, said in (
        ({"command_template": "x --epoch {1,1}"}, "a value twice"),
        ({"memory_space": ["much"]}, "not a size"),
        ({"cpu_space": ["-1"]}, "cpu_space"),
        ({"nnode_space": [2, 4]}, "one machine"),
        ({"input_file_set": "gone"}, "gone"),
        ({"code": "/gone.zip"}, "gone.zip"),
    ):
        with pytest.raises(RemoteError, match=rf"^4\d\d .*{said}"):
            user.post("profiler", "register_template", **{**asked, **wrong})
    made = user.post("profiler", "register_template", **asked)
    job = {"name": "r", "template_id": made["id"], "parameters": [7], "output_path": "o", "output_file_set": "o"}
    wrongs: tuple[tuple[dict[str, object], str], ...] = (
        ({"parameters": []}, "0 parameters, and the template has 1: epoch"),
        ({"parameters": [True]}, "neither number nor text"),
        ({"max_time": "soon"}, "no number"),
        ({"output_path": "../../etc"}, "output_path"),
        ({"template_id": 999_999}, "Entity 999999 does not exist"),
    )
    for bad, said in wrongs:
        with pytest.raises(RemoteError, match=rf"^4\d\d .*{said}"):
            user.post("auto_provisioner", "new_job", **{**job, **bad})
    other = project(place, "elsewhere")
    with pytest.raises(RemoteError, match=r"^40[34]"):
        other.post("auto_provisioner", "new_job", **job)
