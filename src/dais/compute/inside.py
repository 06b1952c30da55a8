"""Programs of ours inside running jobs: which Python there is to run them, and starting one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import dais
from dais.compute.jobs.types import Work
from dais.compute.launch import ENVIRONMENT, has_host_image, is_contained
from dais.engines.contract import ExecStream
from dais.kit.errors import Unavailable

if TYPE_CHECKING:
    from dais.compute.runtime import Compute

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


_start = """import sys
if sys.path and not sys.path[0]: del sys.path[0]
T = %r
def run(name):
    made = type(sys)(name)
    made.__file__ = "<dais " + name + ">"
    exec(compile(T[name], made.__file__, "exec", dont_inherit=True), made.__dict__)
    return made
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in T or name in ("dais", "dais.node", "dais.node.inside"):
            return type(sys.__spec__)(name, Finder, is_package=name not in T)
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        if module.__name__ in T:
            module.__file__ = "<dais " + module.__name__ + ">"
            exec(compile(T[module.__name__], module.__file__, "exec", dont_inherit=True), module.__dict__)
if sys.argv[1] in T:
    run(sys.argv.pop(1)).main()
else:
    sys.meta_path.insert(0, Finder)
    from %s import main
    main()
"""


@cache
def bundle(main: str, *names: str) -> str:
    """Several programs for inside as one text: `main` is run, and imports the others as it does here.

    With the whole name of one of them as its first argument, that one is run instead, alone. Blocks for a moment, once.
    """
    package = "dais.node.inside"
    return _start % ({f"{package}.{name}": program(name) for name in (main, *names)}, f"{package}.{main}")


@cache
def program(name: str) -> str:
    """The text of one of the programs for inside, by the name of its file. Blocks for a moment, once."""
    return (Path(dais.__file__).parent / "node" / "inside" / f"{name}.py").read_text(encoding="utf-8")
