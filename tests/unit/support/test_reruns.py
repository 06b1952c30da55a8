"""A test that passes at its second run: the words of its first failure are shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHAKY = """
from pathlib import Path

def test_shaky():
    print("said before it failed")
    seen = Path(__file__).with_name("seen")
    if not seen.exists():
        seen.touch()
        assert "one" == "another", "the words of the failure"
"""


@pytest.mark.parametrize("how", [[], ["--numprocesses", "1"]], ids=["alone", "abreast"])
def test_the_first_failure_of_what_passes_then_is_told_before_the_summary(tmp_path: Path, how: list[str]) -> None:
    (tmp_path / "test_shaky.py").write_text(SHAKY)
    nothing = tmp_path / "pytest.ini"
    nothing.write_text("[pytest]\n")
    options = ["-raR", "--reruns", "1", "-p", "tests.support.reruns", "-p", "no:cacheprovider", "-c", str(nothing)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *how, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout.partition("test_shaky (at its call)")[2]
    assert "the words of the failure" in told
    assert "said before it failed" in told
    assert "1 passed, 1 rerun" in told.splitlines()[-1]
