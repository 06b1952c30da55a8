"""Thousands of commands in one job: none is lost, none hangs, nothing of them is left."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dais.sdk.execution import ExecResult
from tests.support.installation import Installation, installation
from tests.support.supervisor import processes_with

COUNT = 1_000
"""In each isolation."""


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["sandbox", "process"])
def test_commands_in_a_row_and_side_by_side_lose_nothing(isolation: str) -> None:
    settings = {"DAIS_LOCAL_ISOLATION": isolation, "DAIS_LIMITS_REQUESTS_PER_MINUTE": "0"}
    with installation(settings=settings) as dais:
        job = dais.submit("sh", "-c", "echo up; exec sleep 100000", cpu=1)
        dais.wait_output(job, b"up")
        jobs = dais.client().jobs

        def run(number: int) -> ExecResult:
            # Every third is given input, which it may read or not before it ends.
            script = f"{'cat >&2; ' * (number % 2)}echo {number}; exit {number % 100}"
            return jobs.exec(job.id, ["sh", "-c", script], input=b"given" * (number % 3))

        with ThreadPoolExecutor(4) as pool:
            for width, first in ((map, 0), (pool.map, COUNT // 2)):
                for number, done in enumerate(width(run, range(first, first + COUNT // 2)), first):
                    read = b"given" * (number % 3) * (number % 2)
                    assert done == ExecResult(number % 100, f"{number}\n".encode(), read)
        assert jobs.get(job.id).state == "RUNNING"
        commands = set(processes_with(b"DAIS_EXEC="))
        assert not commands.intersection(processes_with(job.id.encode()))
        assert dais.is_well()


NOT_NEEDED = {
    "asyncio",
    "base64",
    "hashlib",
    "httpx2",
    "msgspec",
    "platformdirs",
    "ssl",
    "tarfile",
    "tempfile",
    "websockets",
}

COMMANDED = """
import sys
from dais.cli.program import cli

code = cli(sys.argv[1:])
print(*sys.modules, file=sys.stderr)
sys.exit(code)
"""


def test_a_command_of_the_command_line_imports_next_to_nothing(shared: Installation, tmp_path: Path) -> None:
    """Each import is waited for at every `dais job exec`. The profile file is where users have it."""
    (tmp_path / "dais").symlink_to(shared.config)
    environment = shared.environment | {"XDG_CONFIG_HOME": str(tmp_path)}
    del environment["DAIS_CONFIG_DIR"]
    job = shared.submit("sleep", "100000")
    shared.wait_running(job)
    done = subprocess.run(
        [sys.executable, "-c", COMMANDED, "job", "exec", job.id, "--", "sh", "-c", "echo inside; exit 7"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    imported = set(done.stderr.split())
    assert (done.returncode, done.stdout) == (7, "inside\n"), done.stderr
    assert "dais.sdk.execution" in imported
    assert imported & NOT_NEEDED == set()
