"""What a node offers to jobs: found out by a small job, once for a group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shlex
import sys
from pathlib import Path
from typing import Any

import msgspec

from dais.engines.contract import HostTools, LaunchRefused
from dais.engines.slurm.asking import Slurm
from dais.engines.slurm.commands import Failed, Unreachable
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.store import Store
from dais.node.spec import SCHEMES

LEAST_VERSION = (3, 11)
LOOK_SECONDS = 60.0
_facts = "facts.json"
_digest = re.compile(r"@sha256:[0-9a-f]{64}$")


class NoRoom(LaunchRefused):
    """No node was free for a job that only looks at it: nothing is known."""


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the look found. `isolation` is the probe's result, `prefix` what the interpreter needs of the node.

    `asked` is how it was asked: with other options, or by another Dais, it is asked anew.
    """

    node: str
    uid: int
    gid: int
    python: str
    version: str
    prefix: str
    nonce: str = ""
    asked: str = ""
    isolation: dict[str, Any] = {}
    gpus: tuple[str, ...] = ()
    apptainer: str | None = None

    def mode(self, options: SlurmOptions) -> str:
        """How jobs are kept apart: what the options say, else what the node can."""
        return options.isolation or ("sandbox" if self.isolation.get("bwrap") is True else "process")


def candidates(options: SlurmOptions) -> list[str]:
    """Where nodes may have a Python that the supervisor and jobs can use."""
    if options.python:
        return [options.python]
    own = [getattr(sys, "_base_executable", None) or sys.executable]
    versions = [f"{place}/python3.{minor}" for place in ("/usr/bin", "/usr/local/bin") for minor in range(14, 10, -1)]
    return list(dict.fromkeys(["/usr/bin/python3", "/usr/local/bin/python3", *own, *versions]))


async def look_at_a_node(
    slurm: Slurm, options: SlurmOptions, store: Store, program: Path, *, seconds: float = LOOK_SECONDS
) -> NodeFacts:
    """What was found before, else what a job finds now. Raises LaunchRefused with what is wrong, Unreachable."""
    kept = store.directory / _facts
    asked = " ".join([program.name, options.python, *_where(options)])
    with contextlib.suppress(OSError, msgspec.DecodeError):
        facts = msgspec.json.decode(await asyncio.to_thread(kept.read_bytes), type=NodeFacts)
        if facts.asked == asked:
            return facts
    facts = await ask_a_node(slurm, options, store, program, seconds=seconds)
    facts = msgspec.structs.replace(facts, asked=asked)
    await asyncio.to_thread(store.keep, kept, msgspec.json.encode(facts))
    return facts


async def ask_a_node(slurm: Slurm, options: SlurmOptions, store: Store, program: Path, *, seconds: float) -> NodeFacts:
    """Let a job look. Raises LaunchRefused, Unreachable."""
    nonce = secrets.token_hex(8)
    out = store.directory / f"look-{nonce}"
    words = [
        "--no-requeue",
        f"--job-name=dais_look-{nonce}",
        "--nodes=1",
        "--ntasks=1",
        "--mem=128M",
        "--time=1",
        f"--chdir={store.directory}",
        f"--output={out}.out",
        "--export=ALL",
        *_where(options),
    ]
    text = _script(candidates(options), program, store.directory, out, nonce)
    job = ""
    try:
        job = await slurm.submit(words, text)
        return await _wait(slurm, job, out, seconds)
    except Failed as error:
        raise LaunchRefused(f"Slurm refuses a job that only looks at a node: {error}") from error
    finally:
        if job:
            with contextlib.suppress(Unreachable, Failed):
                await slurm.cancel([job], "overdue")
        for path in (out, Path(f"{out}.out"), Path(f"{out}.new")):
            with contextlib.suppress(OSError):
                await asyncio.to_thread(path.unlink, missing_ok=True)


def _where(options: SlurmOptions) -> list[str]:
    """The options of sbatch that decide on which nodes jobs run."""
    names = ("partition", "account", "qos", "constraint", "reservation")
    return [*(f"--{name}={value}" for name in names if (value := getattr(options, name))), *options.extra]


async def _wait(slurm: Slurm, job: str, out: Path, seconds: float) -> NodeFacts:
    """The answer of a job that looks. Raises LaunchRefused."""
    state = reason = ""
    try:
        async with asyncio.timeout(seconds):
            while True:
                for _ in range(10):
                    facts = await asyncio.to_thread(_answer, out)
                    if facts is not None:
                        return facts
                    await asyncio.sleep(0.1)
                state, reason = await slurm.state(job) or ("COMPLETED", "")
                if state in ("FAILED", "CANCELLED", "COMPLETED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"):
                    # What it wrote may take a moment to be seen here.
                    async with asyncio.timeout(min(seconds, 10)):
                        while (facts := await asyncio.to_thread(_answer, out)) is None:
                            if words := await asyncio.to_thread(_said, out):
                                raise LaunchRefused(f"a node was looked at, and cannot run jobs: {words}")
                            await asyncio.sleep(0.2)
                    return facts
    except TimeoutError:
        pass
    if state in ("", "PENDING"):
        raise NoRoom(
            f"no node was free within {seconds:g} s for a job that only looks at it ({reason or 'it waits'}); "
            "try again when there is room"
        )
    raise LaunchRefused(
        f"a node ran a job that should write {out} ({state}), and it is not there: is this directory on a file system "
        "that the nodes share with this machine, by the same path?"
    )


def _answer(out: Path) -> NodeFacts | None:
    try:
        facts = msgspec.json.decode(out.read_bytes(), type=NodeFacts)
    except (OSError, msgspec.DecodeError):
        return None
    return facts if out.name.endswith(facts.nonce) else None


def _said(out: Path) -> str:
    try:
        return Path(f"{out}.out").read_text(errors="replace").strip()[-1000:]
    except OSError:
        return ""


def _script(places: list[str], program: Path, shared: Path, out: Path, nonce: str) -> str:
    code = f"import sys; sys.path.insert(0, {str(program)!r}); from dais.node.looking import main; main()"
    words = shlex.join(["-I", "-S", "-c", code, "--shared", str(shared), "--out", str(out), "--nonce", nonce])
    least = ", ".join(map(str, LEAST_VERSION))
    return f"""#!/bin/sh
for python in {shlex.join(places)}; do
  [ -x "$python" ] || continue
  "$python" -I -S -c 'import sys; sys.exit(sys.version_info < ({least}))' || continue
  exec "$python" {words}
done
echo 'none of {" ".join(places)} is a Python >= {".".join(map(str, LEAST_VERSION))}; install one, or name one' >&2
exit 1
"""


def image_problem(path: str) -> str | None:
    """Why no job could start from this by Apptainer. Blocking."""
    if path.startswith(SCHEMES):
        if _digest.search(path):
            return None
        return f"{path} names no content: add its digest, as in docker://debian@sha256:…, so that it stays the same"
    if not path.endswith(".sif") or not path.startswith("/"):
        return f"{path} is no image: name a file as /shared/image.sif, or {SCHEMES[0]}NAME@sha256:DIGEST"
    return None if Path(path).is_file() else f"there is no file {path} here; it must lie where nodes see it, too"


def host_tools(facts: NodeFacts, options: SlurmOptions, owner: tuple[int, int] | None) -> HostTools:
    """The image `host` of the group: the nodes' own Python."""
    mode = facts.mode(options)
    missing = []
    if mode == "process":
        why = "set so by the group's options" if options.isolation else facts.isolation.get("bwrap", "not looked at")
        missing.append(f"jobs are not kept from each other's files, processes and network: {why}")
    if facts.isolation.get("cgroup") not in ("v1", "v2"):
        missing.append(
            "memory is limited for each process alone: Slurm's allocations do not bound it (TaskPlugin=task/cgroup "
            "with ConstrainRAMSpace=yes does)"
        )
    if mode == "sandbox" and facts.isolation.get("seccomp") is not True:
        missing.append(f"jobs may make every system call: {facts.isolation.get('seccomp')}")
    outside = not facts.prefix.startswith("/usr/") and facts.prefix != "/usr"
    return HostTools(
        interpreter=os.path.realpath(facts.python) if outside else facts.python,
        version=facts.version,
        paths=(facts.prefix,) if outside else (),
        isolation=mode,
        uid=owner[0] if owner else None,
        gid=owner[1] if owner else None,
        internet=mode == "sandbox" and facts.isolation.get("internet") is True,
        labelled=True,
        missing=tuple(missing),
    )
