"""What Dais costs while nothing happens: resident memory, CPU; and how soon it answers after kill -9."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

from bench.harness import Aim, Bench, Row, main
from bench.server import dais, run_jobs
from tests.support.installation import Installation

_ticks = os.sysconf("SC_CLK_TCK")


def run(bench: Bench) -> None:
    seconds = bench.pick(20, 3)
    with dais(isolation="auto") as server:
        run_jobs(server, 20)
        assert server.server is not None
        time.sleep(2)  # the tail of what the jobs caused
        # Started as root, `dais up` keeps a small process beside the server: both are counted.
        answering = json.loads((server.data / "server.json").read_text())["pid"]
        pids = {"server": answering, "supervisor": server.supervisor()}
        memory = {name: resident(pid) for name, pid in pids.items()}
        shared_once = sum(proportional(pid) for pid in {answering, server.server.pid})
        if answering != server.server.pid:
            memory["server"] += resident(server.server.pid)
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        begun = time.monotonic()
        time.sleep(seconds)
        spent = time.monotonic() - begun
        used = {name: (cpu_seconds(pid) - before[name]) / spent * 100 for name, pid in pids.items()}
        starts = bench.repeat(lambda: restart(server))
    bench.report(
        Row(
            figure="idle server, resident memory (20 jobs have run)",
            ours=[memory["server"]],
            unit="MB",
            aim=Aim(number="21", must=60, should=50, at_most=True),
        ),
        Row(
            figure="the same, what is shared with other processes by their number (Pss)",
            ours=[shared_once],
            unit="MB",
        ),
        Row(
            figure="idle node supervisor, resident memory",
            ours=[memory["supervisor"]],
            unit="MB",
            aim=Aim(number="21", must=15, should=12, at_most=True),
        ),
        Row(
            figure="`kill -9` of the server to the first answer of the next",
            ours=starts,
            unit="s",
            aim=Aim(number="22", must=1, should=0.6, at_most=True),
        ),
        Row(
            figure=f"CPU of the idle server over {seconds} s",
            ours=[used["server"]],
            unit="% of a core",
            aim=Aim(number="", must=1, should=0.5, at_most=True),
        ),
        Row(
            figure=f"CPU of the idle supervisor over {seconds} s",
            ours=[used["supervisor"]],
            unit="% of a core",
            aim=Aim(number="", must=0.5, should=0.2, at_most=True),
        ),
    )


def resident(pid: int) -> float:
    """Resident megabytes (10⁶ bytes) of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def proportional(pid: int) -> float:
    """Megabytes of a process, in which a page that N processes share (the interpreter's code) counts as 1/N."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def cpu_seconds(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _ticks


def restart(server: Installation) -> float:
    """Kill the server and start it again; seconds from the start to the first answer."""
    server.kill()
    server.start()
    return server.starts[-1]


if __name__ == "__main__":
    main(run)
