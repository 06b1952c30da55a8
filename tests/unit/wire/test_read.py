"""Reading what people write: spellings, units, and clear refusals."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dais.wire.problems import SpecError, nearest
from dais.wire.read import read_fields, read_spec
from dais.wire.spec import GIB, JobSpec, Mount, Resources

ELEMENT_AI = {
    "image": "host",
    "account": "org.alice",
    "name": "my_job",
    "command": ["/bin/bash", "-c", "..."],
    "workdir": "/mnt/home/proj",
    "data": ["org.alice.home:/mnt/home", "org.alice.code/lib:/app:ro"],
    "environmentVars": ["A=B", "HOME=/mnt/home", "EMPTY="],
    "interactive": True,
    "preemptable": True,
    "restartable": False,
    "bid": 9999,
    "maxRunTime": 172800,
    "resources": {"cpu": 4, "mem": 16, "gpu": 1},
    "replicas": 1,
    "tags": ["k=v", "plain"],
    "options": {},
}


def test_the_element_ai_spelling_means_the_same() -> None:
    ours = {
        "image": "host",
        "account": "org.alice",
        "name": "my_job",
        "command": ["/bin/bash", "-c", "..."],
        "workdir": "/mnt/home/proj",
        "data": [
            {"name": "org.alice.home", "target": "/mnt/home"},
            {"name": "org.alice.code", "path": "lib", "target": "/app", "read_only": True},
        ],
        "environment": {"A": "B", "HOME": "/mnt/home", "EMPTY": ""},
        "type": "interactive",
        "preemptable": True,
        "bid": 9999,
        "max_run_time": "2d",
        "resources": {"cpu": "4000m", "mem": "16Gi", "gpu": 1},
        "tags": {"k": "v", "plain": ""},
    }
    spec = read_spec(ELEMENT_AI)
    assert spec == read_spec(ours)
    assert spec.resources == Resources(cpu=4.0, mem=16 * GIB, gpu=1)
    assert spec.data[1] == Mount(name="org.alice.code", path="lib", target="/app", read_only=True)
    assert spec.max_run_time == 172_800


def test_a_folder_with_a_leading_dot() -> None:
    spec = read_spec({"command": ["a"], "data": ["acme.joe./.ssh/keys:/home/joe/.ssh:ro", ".cache/pip:/pip"]})
    assert (spec.data[0].name, spec.data[0].path) == ("acme.joe./.ssh", "keys")
    assert (spec.data[1].name, spec.data[1].path) == (".cache", "pip")


@pytest.mark.parametrize(
    "document, path, hint",
    [
        ({"comand": ["a"]}, "comand", "did you mean 'command'?"),
        ({"command": ["a"], "env": {}}, "env", "did you mean 'environment'?"),
        ({"command": ["a"], "mem": 4}, "mem", "did you mean 'resources: {mem: …}'?"),
        ({"command": ["a"], "resources": {"memory": 4}}, "resources.memory", "did you mean 'mem'?"),
        ({"command": ["a"], "maxRuntime": 4}, "maxRuntime", "did you mean 'max_run_time'?"),
        ({"command": ["a"], "data": [{"name": "x", "mount": "/x"}]}, "data[0].mount", None),
        ({"command": "python train.py"}, "command", 'write ["python", "train.py"]'),
    ],
)
def test_unknown_fields_have_their_nearest_name(document: dict[str, Any], path: str, hint: str | None) -> None:
    with pytest.raises(SpecError) as failure:
        read_spec(document)
    assert failure.value.path == path
    if hint is not None:
        assert failure.value.hint == hint


@pytest.mark.parametrize(
    "more",
    [
        {"options": {"internal-dns": {"name": "head"}}},
        {"role": "x"},
        {"replicas": 2},
        {"resources": {"gpuMem": 32}},
        {"resources": {"gpu_model": "!A100"}},
    ],
)
def test_what_is_known_and_not_built_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as failure:
        read_spec({"command": ["a"], **more})
    assert failure.value.code == "not-built-yet"
    assert failure.value.hint is not None
    assert re.search(r"--group|for each|secret|through Dais", failure.value.hint), "what to do instead"


def test_what_every_job_has_may_be_asked_for() -> None:
    plain = {"command": ["a"], "data": ["org.alice.code/src:/app:ro"]}
    assert read_spec({**plain, "tunnel": True, "data": ["org.alice.code@latest/src:/app:ro"]}) == read_spec(plain)
    with pytest.raises(SpecError, match="tunnel: 'maybe' is not true or false"):
        read_spec({**plain, "tunnel": "maybe"})


@pytest.mark.parametrize(
    "more, words",
    [
        ({"preemptable": "no"}, "not true or false"),
        ({"interactive": True, "type": "batch"}, "says again"),
        ({"environment": {"A": None}}, 'write ""'),
        ({"environment": ["A"]}, "has no '='"),
        ({"environment": ["A=1", "A=2"]}, "given twice"),
        ({"data": ["x"]}, "no mount"),
        ({"data": ["x:/a:rx"]}, "no mount"),
        ({"data": "x:/a"}, "not a list"),
        ({"resources": [1]}, "not a mapping"),
        ({"resources": {"gpu": 1.5}}, "not a whole number"),
        ({"resources": {"cpu": True}}, "not a number"),
        ({"network": "hots"}, "did you mean 'host'"),
        ({"max_run_time": [1]}, "not a duration"),
        ({"name": ["x"]}, "not a text"),
    ],
)
def test_wrong_values(more: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as failure:
        read_spec({"command": ["a"], **more})
    assert words in f"{failure.value} {failure.value.hint}"


def test_a_document_must_be_a_mapping() -> None:
    with pytest.raises(SpecError, match="not a list"):
        read_spec([])  # type: ignore[arg-type]


def test_numbers_are_texts_as_written() -> None:
    spec = read_spec({"command": ["sleep", 5], "environment": {"A": 1, "B": True, "C": 1.5}})
    assert spec.command == ("sleep", "5")
    assert spec.environment == {"A": "1", "B": "true", "C": "1.5"}


def test_overrides_win_one_by_one() -> None:
    document = {
        "command": ["a"],
        "environment": ["A=1", "B=1"],
        "tags": ["x"],
        "data": ["one:/one", "two:/two"],
        "resources": {"cpu": 2, "mem": 4},
        "name": "first",
    }
    changes = {"environment": ["B=2"], "tags": ["y=1"], "data": ["other:/two:ro"], "resources": {"mem": 8}, "name": "b"}
    spec = read_spec(document, changes)
    assert spec.environment == {"A": "1", "B": "2"}
    assert spec.tags == {"x": "", "y": "1"}
    assert [(mount.name, mount.target) for mount in spec.data] == [("one", "/one"), ("other", "/two")]
    assert spec.resources == Resources(cpu=2.0, mem=8 * GIB)
    assert spec.name == "b"


def test_nothing_given_is_left_out() -> None:
    assert read_fields({"name": None, "resources": {"cpu": None}, "tunnel": False, "replicas": 1}) == {"resources": {}}
    assert read_spec({"command": ["a"], "image": None}) == JobSpec(command=("a",))


def test_the_nearest_name_ignores_case_and_dashes() -> None:
    assert nearest("MAX-RUN-TIME", ["max_run_time", "mem"]) == "max_run_time"
    assert nearest("zzz", ["max_run_time"]) is None
