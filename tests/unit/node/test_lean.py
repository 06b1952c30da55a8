"""What supervisors use in place of `json` says the same, and they import nothing that takes long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.engines.slurm.program import install
from dais.node import lean

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_documents_are_written_and_read_as_by_the_public_module(document: object) -> None:
    written = lean.dumps(document)
    assert written == json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    assert lean.loads(f"\n {written}\t") == document
    assert lean.loads(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    "text,why",
    [("", "expected at character 0"), ("{", "property name"), ("[1,]", "expected"), ("1 2", "follows"),
     ('{"a" 1}', "':'"), ("NaN", "no JSON"), ("-Infinity", "no JSON"), (b"\xff", "utf-8"), ('"\n"', "control")],
)  # fmt: skip
def test_what_is_no_json_is_refused(text: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        lean.loads(text)


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        lean.dumps({"a": {1}})


def test_an_interpreter_without_these_parts_has_the_public_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean, "_scan", None)
    monkeypatch.setattr(lean, "_write", None)
    assert lean.loads(lean.dumps({"a": ["ü", 1.5]})) == {"a": ["ü", 1.5]}
    with pytest.raises(ValueError, match="NaN"):
        lean.loads("NaN")


def test_the_supervisor_of_an_allocation_imports_nothing_that_takes_long(tmp_path: Path) -> None:
    program = install(tmp_path, None)
    code = f"import sys; sys.path.insert(0, {str(program)!r}); import dais.node.allocation; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    slow = {
        "re",
        "enum",
        "ctypes",
        "functools",
        "collections",
        "contextlib",
        "json",
        "signal",
        "typing",
        "socket",
        "subprocess",
    }
    assert slow.isdisjoint(done.stdout.split())
