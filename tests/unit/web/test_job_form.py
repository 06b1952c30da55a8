"""The submit form: every specification fits into it and comes back, and what is wrong is told where it stands."""

from __future__ import annotations

import shlex
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given, settings

from dais.kit.errors import Invalid, NotFound
from dais.web.job_form import JobForm, MountRow, PairRow, field_of, form_from, form_of, read_form
from dais.wire.spec import JobSpec
from tests.support.specs import specs


def sent(form: JobForm) -> JobForm:
    """The form as it arrives when a browser sends it, with the empty rows that pages have."""
    fields: list[tuple[str, str]] = [("command", form.command), ("run", form.run)]
    fields += [("type", form.type), ("network", form.network), *form.texts.items(), *form.resources.items()]
    fields += [(flag, "yes") for flag in form.flags]
    for mount in [*form.data, MountRow()]:
        fields += [(f"data_{name}", getattr(mount, name)) for name in ("folder", "below", "target", "mode")]
    for kind in ("environment", "secrets", "tags"):
        for row in [*getattr(form, kind), PairRow()]:
            fields += [(f"{kind}_name", row.name), (f"{kind}_value", row.value.replace("\n", "\r\n"))]
    return form_of(parse_qs(urlencode(fields), keep_blank_values=True))


@settings(max_examples=200, deadline=None)
@given(specs)
def test_a_specification_goes_through_the_form_unchanged(spec: JobSpec) -> None:
    if any("\r" in text for text in (*spec.command, *spec.environment.values(), *spec.tags.values())):
        return  # fields of forms know one kind of line end
    if spec.requirements == "":
        return  # an empty field means: as always
    form = form_from(spec)
    for arrived in (form, sent(form)):
        read = read_form(arrived)
        assert read.wrong == {}
        assert read.spec == spec


def test_everything_that_is_wrong_is_told_at_once() -> None:
    form = JobForm(
        command='python "train.py',
        texts={"name": "Not a name", "max_run_time": "soon", "bid": "high"},
        resources={"cpu": "many", "mem": "1 apple", "gpu": "-1"},
        data=[
            MountRow(folder="digits", target="/data"),
            MountRow(folder="digits"),
            MountRow(folder="d", target="/etc/x"),
        ],
        environment=[PairRow(name="A", value="1"), PairRow(name="B C", value=""), PairRow(value="x")],
        tags=[PairRow(name="a b", value="")],
    )
    read = read_form(form)
    assert read.spec is None
    assert set(read.wrong) == {
        *("command", "name", "max_run_time", "bid", "cpu", "mem", "gpu", "data[1]", "data[2]"),
        *("environment[1]", "environment[2]", "tags[0]"),
    }
    assert "not closed" in read.wrong["command"]
    assert read.wrong["mem"].startswith("'1 apple' is not a size; write for example 16 (GiB)")


@pytest.mark.parametrize(
    "command, words",
    [
        ("python train.py --lr 0.1", ("python", "train.py", "--lr", "0.1")),
        ("python -c 'print(\"a b\")'", ("python", "-c", 'print("a b")')),
        ("echo 'one\ntwo'", ("echo", "one\ntwo")),
        ("  python   x  ", ("python", "x")),
        ("echo # not a comment", ("echo", "#", "not", "a", "comment")),
    ],
)
def test_a_line_is_split_into_words(command: str, words: tuple[str, ...]) -> None:
    read = read_form(JobForm(command=command))
    assert read.spec is not None, read.wrong
    assert read.spec.command == words


def test_a_script_is_run_by_the_shell_and_a_line_is_not() -> None:
    script = "set -e\npython train.py | tee log"
    read = read_form(JobForm(command=script, run="script"))
    assert read.spec is not None
    assert read.spec.command == ("sh", "-c", script)
    for lines in (script, "python train.py \\\n  --epochs 2", "echo 'a' \n'b'"):
        assert "run it as a script" in read_form(JobForm(command=lines)).wrong["command"]
    for word in ("\n", "a\nb", "it's\n\n", 'say "so"\\\n'):
        words = read_form(JobForm(command=shlex.join(["echo", word])))
        assert words.spec is not None
        assert words.spec.command == ("echo", word)
    for command in ("cat a | wc", "echo $HOME", "ls *.py", "cd x; ls", "ls ~/x", "make && ls"):
        read = read_form(JobForm(command=command))
        assert "Run it as a script instead?" in read.note, command
        assert read.spec is not None
    assert read_form(JobForm(command="echo 'a | b' '$HOME'")).note == ""


def test_errors_of_verbs_find_their_field() -> None:
    form = JobForm(
        data=[MountRow(folder="digits", target="/a"), MountRow(folder="digit", target="/b")],
        secrets=[PairRow(name="TOKEN")],
    )
    for error, field in (
        (NotFound("", code="no-such-folder", folder="digit"), "data[1]"),
        (NotFound("", code="no-such-folder", folder="other"), "data"),
        (Invalid("", code="no-such-secret", secret="TOKEN"), "secrets[0]"),
        (Invalid("", code="never-fits"), "resources"),
        (Invalid("", code="bad-spec", path="resources.mem"), "mem"),
        (Invalid("", code="too-many-jobs"), ""),
    ):
        assert field_of(error, form) == field
