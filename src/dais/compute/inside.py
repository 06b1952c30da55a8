"""Programs of ours inside running jobs: which Python there is to run them, and starting one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import dais
from dais.compute.jobs.types import Work
from dais.compute.launch import ENVIRONMENT, has_host_image, is_contained
from dais.compute.runtime import Compute
from dais.engines.contract import ExecStream
from dais.kit.errors import Unavailable

MAX_PROGRAM = 120_000
"""Bytes of a program's text: the system takes no longer word in a command line than 128 KiB."""


async def python_in(compute: Compute, work: Work) -> tuple[str, ...]:
    """The first words of a command line that run a Python (>= 3.8) inside this job's container.

    That of its environment, else of the image (`host`, a registered root directory), else the one that the engine
    mounts in every container. Nothing but its standard library may be counted on. Raises Conflict `not-running`,
    Unavailable `no-python`.
    """
    group, _ = compute.running(work)
    if work.environment_id is not None:
        directory = ENVIRONMENT if is_contained(group.host) else str(group.environment_directory(work.environment_id))
        return (f"{directory}/bin/python",)
    if group.host.runner:
        return group.host.runner
    if work.root is not None and work.python is not None:
        return (work.python,)
    if work.root is None and has_host_image(group.host):
        return (group.host.interpreter,)
    raise Unavailable(
        f"the image {work.image} of job {work.job_id} has no Python, which this needs: register an image that has one "
        "in /usr/bin, /usr/local/bin or /opt/conda/bin",
        code="no-python",
        image=work.image,
    )


async def run_program(
    compute: Compute, work: Work, source: str, *args: str, env: Mapping[str, str] | None = None
) -> ExecStream:
    """Start a program, given as Python text, in a running job as its user; it ends when the stream is closed.

    It runs apart from what the job's user has set up for Python (`-I -S`). Raises as `python_in` and `Compute.exec`,
    ValueError when it is too long.
    """
    if len(source.encode()) > MAX_PROGRAM:
        raise ValueError(f"a program of {len(source.encode()):,} bytes is more than the {MAX_PROGRAM:,} that fit")
    argv = (*await python_in(compute, work), "-I", "-S", "-B", "-c", source, *args)
    return await compute.exec(work, argv, env=env or {}, workdir=None, pty=None)


@cache
def program(name: str) -> str:
    """The text of one of the programs for inside, by the name of its file. Blocks for a moment, once."""
    return (Path(dais.__file__).parent / "node" / "inside" / f"{name}.py").read_text(encoding="utf-8")
