"""What a job's YAML says is the job: written out and read back, nothing changes."""

from __future__ import annotations

import shlex

from hypothesis import given, settings

from dais.cli.base import Globals
from dais.cli.jobs.options import read_given
from dais.cli.jobs.submit import submit
from dais.sdk.documents import dump, load
from dais.wire.check import check
from dais.wire.line import submit_line
from dais.wire.read import human, read_spec
from dais.wire.spec import JobSpec
from tests.support.specs import FIELDS, specs


def test_every_field_is_tried() -> None:
    assert set(FIELDS) == set(JobSpec.__struct_fields__)


@settings(max_examples=300, deadline=None)
@given(specs)
def test_a_spec_comes_back(spec: JobSpec) -> None:
    check(spec)
    assert read_spec(human(spec)) == spec
    assert read_spec(load(dump(spec), "job.yml").value) == spec


@settings(max_examples=300, deadline=None)
@given(specs)
def test_the_command_line_of_a_spec_submits_the_same(spec: JobSpec) -> None:
    words = shlex.split(" ".join(submit_line(spec)))
    assert words[:3] == ["dais", "job", "submit"]
    with submit.make_context("submit", words[3:]) as context:
        context.obj = Globals(account=context.params["account"])
        params = context.params
        assert read_given(dict(params), params["words"], source=params["source"]) == spec
