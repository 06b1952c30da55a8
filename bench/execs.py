"""A command in a running job: by the SDK beside bare nsenter, and by the command line beside its own start."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from bench.cli_times import command
from bench.harness import Aim, Bench, Row, main, ratios
from bench.server import dais
from dais.wire.answers import JobDetail
from tests.support.installation import Installation
from tests.support.supervisor import processes_with, until

NAMESPACES = ("--mount", "--uts", "--ipc", "--net", "--pid")


def run(bench: Bench) -> None:
    if shutil.which("nsenter") is None:
        bench.absent("nsenter", "install util-linux: there is nothing to compare with")
        return
    for isolation in ("sandbox", "process"):
        with dais(isolation=isolation) as server:
            job = server.submit("sleep", "100000", cpu=1)
            server.wait_running(job)
            _through_the_sdk(bench, server, job, isolation)
            if isolation == "sandbox":
                _through_the_command_line(bench, server, job)


def _through_the_sdk(bench: Bench, server: Installation, job: JobDetail, isolation: str) -> None:
    client = server.client()
    within = ("nsenter", "--target", str(_inside(job)), *NAMESPACES, "true")
    sides: dict[str, Callable[[], object]] = {
        "ours": partial(client.jobs.exec, job.id, ["true"]),
        "theirs": partial(subprocess.run, within, check=True),
    }
    count = bench.pick(100, 10)
    for side in sides.values():
        _median(side, 5)  # what comes first is slower
    seen = bench.interleave({name: partial(_median, side, count) for name, side in sides.items()})
    bench.report(
        Row(
            figure=f"exec of `true` through the SDK, isolation {isolation}, p50",
            ours=seen["ours"],
            unit="ms",
            peer="bare nsenter into the same job",
            theirs=seen["theirs"],
            ratios=ratios(seen["ours"], seen["theirs"]),
            aim=Aim(number="", must=5, at_most=True),
        )
    )


def _through_the_command_line(bench: Bench, server: Installation, job: JobDetail) -> None:
    count = bench.pick(11, 3)
    sides = {"ours": ("job", "exec", job.id, "--", "true"), "theirs": ("--version",)}
    seen = bench.interleave({
        name: partial(_median, partial(command, server, *words), count) for name, words in sides.items()
    })  # fmt: skip
    bench.report(
        Row(
            figure="`dais job exec JOB -- true`, beyond the program's own start, p50",
            ours=[ours - theirs for ours, theirs in zip(seen["ours"], seen["theirs"], strict=True)],
            unit="ms",
            peer="dais --version",
            theirs=seen["theirs"],
            aim=Aim(number="", must=30, at_most=True),
        )
    )


def _median(call: Callable[[], object], count: int) -> float:
    """Milliseconds."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def _inside(job: JobDetail) -> int:
    """The job's process, as it is seen from here, once it is what was asked for: a sandbox is made first."""

    def found() -> int | None:
        for pid in processes_with(job.id.encode()):
            with suppress(OSError):
                if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep\0"):
                    return pid
        return None

    return until(found, f"job {job.id} runs its command")


if __name__ == "__main__":
    main(run)
