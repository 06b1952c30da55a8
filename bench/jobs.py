"""No-op jobs a second through the whole product, beside bare loops of the same process and the same sandbox."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import Aim, Bench, Row, main, ratios
from bench.peers.sandbox import bare_sandbox
from bench.server import WIDTH, dais, run_jobs

SPAWN = Path(__file__).parent / "peers" / "spawn.py"


def run(bench: Bench) -> None:
    count = bench.pick(2000, 200)
    with dais(isolation="process") as server:
        run_jobs(server, 50)
        seen = bench.interleave({
            "dais": partial(run_jobs, server, count),
            "posix_spawn": partial(bare, count, ["/bin/true"]),
        })  # fmt: skip
    bench.report(
        Row(
            figure=f"no-op jobs through the API, process isolation, {WIDTH} in flight",
            ours=seen["dais"],
            unit="jobs/s",
            peer="bare posix_spawn of /bin/true",
            theirs=seen["posix_spawn"],
            ratios=ratios(seen["dais"], seen["posix_spawn"]),
            aim=Aim(number="1", must=0.30, should=0.50),
        )
    )
    sandboxed(bench)


def sandboxed(bench: Bench) -> None:
    """The same in the sandbox."""
    count = bench.pick(600, 60)
    program = shutil.which("bwrap")
    if program is None:
        bench.absent("bubblewrap", "install bubblewrap")
        return
    with TemporaryDirectory(prefix="dais-bench-") as directory, dais(isolation="sandbox") as server:
        prefix, argv = bare_sandbox(program, Path(directory))
        run_jobs(server, 20)
        seen = bench.interleave({
            "dais": partial(run_jobs, server, count),
            "bwrap": partial(bare, count, argv, prefix),
        })  # fmt: skip
    bench.report(
        Row(
            figure=f"no-op jobs through the API, sandboxed, {WIDTH} in flight",
            ours=seen["dais"],
            unit="jobs/s",
            peer="bare loop of the same bwrap command",
            theirs=seen["bwrap"],
            ratios=ratios(seen["dais"], seen["bwrap"]),
            aim=Aim(number="4", must=0.70, should=0.85),
        )
    )


def bare(count: int, argv: Sequence[str], prefix: Sequence[str] = ()) -> float:
    """Processes a second of a bare loop in a small process of its own."""
    program = SPAWN.read_text()  # not by its path: another user might not reach it
    command = [*prefix, "/usr/bin/python3", "-I", "-S", "-c", program, str(count), str(WIDTH), *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd="/")
    assert done.returncode == 0, f"the bare loop ended with {done.returncode}: {done.stderr[-400:]}"
    return float(done.stdout)


if __name__ == "__main__":
    main(run)
