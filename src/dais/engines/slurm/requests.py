"""From a launch to what sbatch is told: pure."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

from dais.engines.contract import LaunchSpec
from dais.engines.slurm.options import SlurmOptions

PREFIX = "dais-"
"""Jobs are named by it and their attempt's id: so they are found again."""
LEAST_MEMORY = 64 << 20
TIME_TO_END = 60.0
"""Seconds between the attempt's own limit and Slurm's: the supervisor is to end it, which knows why."""
NICE = 1000
"""The niceness of a job without a bid, where bids count: who is no operator of Slurm can only be nicer."""


def job_name(attempt_id: str) -> str:
    return PREFIX + attempt_id


def attempt_of(name: str) -> str | None:
    """The attempt that a job of this name belongs to."""
    return name[len(PREFIX) :] if name.startswith(PREFIX) else None


def words(spec: LaunchSpec, options: SlurmOptions, directory: Path, longest: int | None = None) -> list[str]:
    """The options of sbatch. `directory` is the attempt's, where Slurm writes what the supervisor itself says.

    `longest` is how many seconds a job of the partition may run: one that asked for more would wait for ever.
    """
    memory = max(spec.slots.memory, spec.limits.memory or 0, LEAST_MEMORY)
    cores = spec.slots.cpu_millis / 1000 or spec.limits.cpu or 1
    found = [
        "--no-requeue",
        f"--job-name={job_name(spec.attempt_id)}",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={max(1, math.ceil(cores))}",
        f"--mem={math.ceil(memory / (1 << 20)) + options.overhead}M",
        f"--chdir={directory}",
        f"--output={directory}/slurm.out",
        "--open-mode=append",
        "--export=ALL",  # of what sbatch has, which is little; a list would have the node ask the user's shell
    ]
    if spec.gpus:
        found.append(f"--gres={options.gpu}:{len(spec.gpus)}")
    if spec.limits.time is not None:
        minutes = math.ceil((spec.limits.time + spec.limits.grace + TIME_TO_END) / 60)
        found.append(f"--time={minutes if longest is None else min(minutes, max(1, longest // 60))}")
    if comment := " ".join(f"{name}={value}" for name, value in spec.labels.items() if value):
        found.append(f"--comment={printable(comment)}")
    if options.bid == "nice":
        found.append(f"--nice={max(0, NICE - spec.bid)}")
    elif options.bid == "priority":
        found.append(f"--priority={max(1, spec.bid)}")
    for name in ("partition", "account", "qos", "constraint", "reservation"):
        if value := getattr(options, name):
            found.append(f"--{name}={value}")
    return [*found, *options.extra]


def printable(text: str) -> str:
    """One line that no program that lists jobs trips over."""
    return "".join(char if char.isprintable() and char not in "|\"'`" else "_" for char in text)[:500]


def script(python: str, program: Path, directory: Path, shared: Path, key: bytes, *, look: bool = False) -> str:
    """The batch script: the supervisor of one attempt, which is told the key to its launch on standard input.

    With `look` it looks by itself for what is asked of it, where it cannot be sent a signal.
    """
    code = f"import sys; sys.path.insert(0, {str(program)!r}); from dais.node.bundle import begin; begin()"
    argv = [python, "-I", "-S", "-c", code, "--dir", str(directory), "--shared", str(shared)]
    argv += ["--look"] if look else []
    return f"#!/bin/sh\nexec {shlex.join(argv)} <<'END'\n{key.hex()}\nEND\n"
