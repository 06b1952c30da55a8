"""Jobs in YAML files: where something is wrong, and what YAML means by `no`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.sdk.documents import MAX_BYTES, load, read_spec_file
from dais.sdk.errors import Invalid
from dais.wire.read import read_spec


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "job.yml"
    path.write_text(text)
    return path


def test_scalars_stay_as_they_were_written() -> None:
    text = "command: [run, 010, 1.10]\nenvironment: {A: no, B: 0x1F, C: 12:30, D: 2001-01-01, E: 1e3, F: 'no'}\n"
    spec = read_spec(load(text, "job.yml").value)
    assert spec.command == ("run", "010", "1.10")
    assert spec.environment == {"A": "no", "B": "0x1F", "C": "12:30", "D": "2001-01-01", "E": "1e3", "F": "no"}


def test_yes_and_no_mean_true_and_false_where_that_is_wanted() -> None:
    spec = read_spec(load("command: [a]\npreemptable: yes\nrestartable: no\npty: on\n", "job.yml").value)
    assert (spec.preemptable, spec.restartable, spec.pty) == (True, False, True)


@pytest.mark.parametrize(
    "text, place",
    [
        ("command: [a]\nresources:\n  cpu: 1\n  mem: -1\n", ":4:3: resources.mem:"),
        ("command: [a]\nenvironmentVars: [A=1,\n  B]\n", ":3:3: environmentVars[1]:"),
        ("command: [a]\n\nnmae: x\n", ":3:1: nmae:"),
        ("command: [a]\ncommand: [b]\n", ":2:1: the key 'command' is given twice"),
        ("command: [a\n", ":2:1: this is not YAML"),
        ("command: [a]\n\tname: x\n", "this is not YAML"),
        ("a: b: c\n", ":1:5: this is not YAML"),
        ("command: [a]\n---\ncommand: [b]\n", "another document"),
        ("- a\n", ":1:1: a job is a mapping"),
        ("", "the file is empty"),
        ("command: !!python/object/apply:os.system [x]\n", ":1:10: the tag"),
        ("command: [!!python/name:os.system x]\n", ":1:11:"),
        ("a: &a [*a]\n", ":1:4: an alias means itself"),
        ("? [a]\n: b\n", "a field's name must be a text"),
        ("command: []\n", ":1:1: command:"),
    ],
)
def test_the_line_is_named(tmp_path: Path, text: str, place: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(Invalid) as failure:
        read_spec_file(path)
    assert str(failure.value).startswith(str(path))
    assert place in str(failure.value)


def test_hostile_files_end_quickly(tmp_path: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    for text, words in (
        (bomb, "aliases repeat too much"),
        ("[" * 100_000, "nested"),
        ("x" * (MAX_BYTES + 1), "larger"),
    ):
        with pytest.raises(Invalid, match=words):
            read_spec_file(write(tmp_path, text))


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "job.yml"
    path.write_bytes(b"command: [a]\nname: \xff\n")
    with pytest.raises(Invalid, match=r"job\.yml:2: the file is not UTF-8"):
        read_spec_file(path)


def test_a_byte_order_mark_and_merged_mappings(tmp_path: Path) -> None:
    path = tmp_path / "job.yml"
    text = "resources: &base {cpu: 2, mem: 4}\ncommand: [a]\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_spec_file(path).resources.cpu == 2.0
    merged = load("base: &b {A: '1', B: '1'}\nx: {<<: *b, B: '2'}\n", "job.yml").value
    assert merged["x"] == {"A": "1", "B": "2"}


def test_overrides_win_over_the_file(tmp_path: Path) -> None:
    spec = read_spec_file(write(tmp_path, "command: [a]\nname: first\n"), {"name": "second", "tags": ["x"]})
    assert (spec.name, spec.tags) == ("second", {"x": ""})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_spec_file(tmp_path / "none.yml")
