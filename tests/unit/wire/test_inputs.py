"""Inputs, output and code in a specification."""

from __future__ import annotations

from typing import Any

import pytest

from dais.wire.problems import SpecError
from dais.wire.read import read_spec
from dais.wire.spec import Input, Output


def _read(**fields: Any) -> Any:
    return read_spec({"command": ["true"], **fields})


def test_what_people_write_becomes_one_form() -> None:
    spec = _read(
        inputs=["corpus:3", "labels=/labels", {"fileset": "more", "target": "/more"}],
        output="./my_output/",
        code="train.zip:2",
    )
    assert spec.inputs == (
        Input(fileset="corpus:3"),
        Input(fileset="labels", target="/labels"),
        Input(fileset="more", target="/more"),
    )
    assert spec.output == Output(path="my_output")
    assert spec.code == "/train.zip:2"
    assert _read(output="/home/work/a/b=model").output == Output(path="a/b", fileset="model")
    assert _read(output={"path": "out"}).output == Output(path="out")


@pytest.mark.parametrize(
    "field, value, said",
    [
        ("inputs", ["no set"], "names no file set"),
        ("inputs", ["corpus:0"], "versions count 1"),
        ("inputs", ["corpus="], "ends with '='"),
        ("inputs", ["corpus", "corpus"], "given twice"),
        ("inputs", ["corpus=/usr/share"], "belongs to the system"),
        ("inputs", ["corpus=below"], "not an absolute path"),
        ("inputs", ["a=/x", "b=/x/y"], "lie within each other"),
        ("inputs", [f"s{number}" for number in range(65)], "too many"),
        ("inputs", [{"filset": "a"}], "no such field"),
        ("inputs", [{"target": "/a"}], "'fileset' is missing"),
        ("output", "../out", "leads upward"),
        ("output", "/etc", "is absolute"),
        ("output", ".", "working directory itself"),
        ("output", "out=", "ends with '='"),
        ("output", "out=model:2", "names a version"),
        ("output", {"path": "a=b"}, "holds a '='"),
        ("code", "/code/", "is a directory"),
        ("code", "/a/../b.zip", "leads upward"),
    ],
)
def test_what_cannot_be_is_refused(field: str, value: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        _read(**{field: value})


def test_nothing_is_bound_over_a_folder_or_the_output() -> None:
    with pytest.raises(SpecError, match="lie within each other"):
        _read(inputs=["corpus=/data/corpus"], data=["digits:/data"])
    with pytest.raises(SpecError, match="lie within each other"):
        _read(inputs=["corpus=/home/work/out/corpus"], output="out")
    with pytest.raises(SpecError, match="already the mount point"):
        _read(data=["digits:/home/work/out"], output="out")
