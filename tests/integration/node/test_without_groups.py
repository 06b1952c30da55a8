"""Where no control group can be made, each process of a job is limited by itself."""

from __future__ import annotations

import os
from pathlib import Path

from dais.node.launch import ROOMY_FILES, Machine
from dais.node.spec import LaunchSpec
from tests.support.supervisor import PATIENCE

LIMIT = 200 << 20


def test_each_process_has_its_own_limit_of_memory(tmp_path: Path) -> None:
    machine = Machine(allow_root=True)  # not probed: it has no control groups
    spec = LaunchSpec(
        {
            "attempt_id": "00000000-0000-7000-8000-000000000001",
            "argv": ["sleep", str(PATIENCE)],
            "env": {},
            "workdir": str(tmp_path),
            "isolation": "process",
            "limits": {"memory": LIMIT, "open_files": 64},
        }
    )
    launched = machine.launch(spec, uid_in_use=False)
    try:
        assert "rlimit:data" in launched.isolation
        assert "memory-limit: of each process alone" in launched.missing
        limits = Path(f"/proc/{launched.pid}/limits").read_text()
        (line,) = [line for line in limits.splitlines() if line.startswith("Max data size")]
        assert line.split()[3:5] == [str(LIMIT), str(LIMIT)]
    finally:
        os.kill(launched.pid, 9)
        os.waitpid(launched.pid, 0)
        for fd, _ in launched.outputs:
            os.close(fd)


def test_a_job_that_may_open_few_files_starts_where_many_are_open(tmp_path: Path) -> None:
    machine = Machine(allow_root=True)
    limits = {"open_files": ROOMY_FILES}
    spec = LaunchSpec(
        {
            "attempt_id": "00000000-0000-7000-8000-000000000001",
            "argv": ["sh", "-c", "ulimit -n"],
            "env": {},
            "workdir": str(tmp_path),
            "isolation": "process",
            "limits": limits,
        }
    )
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(2 * ROOMY_FILES)]
    try:
        launched = machine.launch(spec, uid_in_use=False)
        _, status = os.waitpid(launched.pid, 0)
        said = b"".join(os.read(fd, 100) for fd, _ in launched.outputs)
    finally:
        for fd in held:
            os.close(fd)
    for fd, _ in launched.outputs:
        os.close(fd)
    assert (status, said) == (0, b"%d\n" % ROOMY_FILES)
