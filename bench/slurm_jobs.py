"""No-op jobs a second, and how soon one runs, beside a Slurm of four nodes on this machine. Takes some minutes."""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import Aim, Bench, Row, main, ratios
from bench.peers.slurm import PATIENCE, command, missing, slurm
from bench.server import WIDTH, dais, latencies, run_jobs


def run(bench: Bench) -> None:
    if lacking := missing():
        bench.absent(f"Slurm ({', '.join(lacking)})", "install slurm-wlm and munge")
        return
    with ExitStack() as held:
        directory = Path(held.enter_context(TemporaryDirectory(prefix="dais-bench-")))
        directory.chmod(0o755)
        server = held.enter_context(dais())
        environment = held.enter_context(slurm(directory))
        run_jobs(server, 20)
        jobs = bench.interleave({
            "dais": partial(run_jobs, server, bench.pick(500, 50)),
            "slurm": partial(array, environment, bench.pick(120, 20)),
        })  # fmt: skip
        many, few = bench.pick(20, 5), bench.pick(5, 2)
        waits = bench.interleave({
            "dais": lambda: statistics.median(latencies(server, many)) * 1000,
            "slurm": lambda: statistics.median([latency(environment, directory) for _ in range(few)]) * 1000,
        })  # fmt: skip
    bench.report(
        Row(
            figure=f"no-op jobs through the API, process isolation, {WIDTH} in flight",
            ours=jobs["dais"],
            unit="jobs/s",
            peer="Slurm job array, 4 nodes of 2 CPUs",
            theirs=jobs["slurm"],
            ratios=ratios(jobs["dais"], jobs["slurm"]),
            aim=Aim(number="3", must=25, should=45),
        ),
        Row(
            figure="submit to running, p50, one after the other",
            ours=waits["dais"],
            unit="ms",
            peer="Slurm",
            theirs=waits["slurm"],
            ratios=ratios(waits["dais"], waits["slurm"]),
            aim=Aim(number="5", must=0.02, should=0.01, at_most=True),
        ),
    )


def array(environment: dict[str, str], count: int) -> float:
    """Jobs a second of an array, from its submit until the queue is empty."""
    begun = time.monotonic()
    command(environment, "sbatch", f"--array=0-{count - 1}", "--output=/dev/null", "--wrap=/bin/true")
    while command(environment, "squeue", "-h", "-r", "-o", "%i").strip():
        assert time.monotonic() - begun < PATIENCE * 5, "the array does not end"
        time.sleep(0.1)
    return count / (time.monotonic() - begun)


def latency(environment: dict[str, str], directory: Path) -> float:
    """Seconds from the submit's beginning until the job's script runs, by the same clock."""
    mark = directory / f"mark{time.monotonic_ns()}"
    begun = time.time()
    command(environment, "sbatch", "--wait", "--output=/dev/null", f"--wrap=date +%s.%N > {mark}")
    return float(mark.read_text()) - begun


if __name__ == "__main__":
    main(run)
