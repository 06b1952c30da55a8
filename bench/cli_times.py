"""How long a person waits for the command line."""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from bench.harness import Aim, Bench, Row, main
from bench.server import dais, run_jobs
from tests.support.installation import Installation


def run(bench: Bench) -> None:
    bench.rounds = max(bench.rounds, bench.pick(11, 2))  # short, so that more rounds cost little
    with dais() as server:
        run_jobs(server, 20)
        seen = bench.interleave({
            "help": partial(command, server, "--help"),
            "job ls": partial(command, server, "job", "ls", "--state", "all"),
            "python": partial(command, server, program=(sys.executable, "-c", "pass")),
        })  # fmt: skip
    for name, must in (("help", 150), ("job ls", 400)):
        bench.report(
            Row(
                figure=f"`dais {'--help' if name == 'help' else name}`",
                ours=seen[name],
                unit="ms",
                peer="python -c pass",
                theirs=seen["python"],
                aim=Aim(number="", must=must, at_most=True),
            )
        )


def command(server: Installation, *words: str, program: tuple[str, ...] = ()) -> float:
    """Milliseconds that a command takes."""
    dais_program = str(Path(sys.executable).with_name("dais"))
    begun = time.monotonic()
    subprocess.run(
        program or (dais_program, *words), env=server.environment, check=True, capture_output=True, timeout=60, cwd="/"
    )
    return (time.monotonic() - begun) * 1000


if __name__ == "__main__":
    main(run)
