"""What is found when jobs are to run as Unix users: whether directories can be shared with them, and sudo lets us."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

from dais.engines.contract import CheckFinding
from dais.engines.slurm.acl import ALL, share
from dais.engines.slurm.asking import ByCommands, Slurm
from dais.engines.slurm.commands import Failed, Unreachable
from dais.engines.slurm.mapped import unix_problem
from dais.engines.slurm.options import SlurmOptions

_MOST_TRIED = 20
_REMEDY = (
    "sudoers: `dais ALL=(ann,bea) NOPASSWD: /usr/bin/sbatch, /usr/bin/scancel`, and `Defaults:dais env_keep += "
    '"SLURM_CONF"` with option conf. A server that root started can gain no rights: --option login=dais@localhost'
)


async def mapped(options: SlurmOptions, slurm: Slurm) -> list[CheckFinding]:
    """Whether the group's directory and sudo are as mapped users need them. The first users of many are tried."""
    findings = [await asyncio.to_thread(_shared, Path(options.directory))]
    assert isinstance(slurm, ByCommands), "the options refuse slurmrestd"
    server = slurm.owner[0] if slurm.owner else os.geteuid()
    names = sorted({line.partition("=")[2] for line in options.users})[:_MOST_TRIED]
    for name in names:
        problem = await asyncio.to_thread(unix_problem, name, server)
        try:
            if problem is None:
                await slurm.commands.run("sbatch", "--version", unix=name)
        except (Failed, Unreachable) as error:
            problem = str(error)
        if problem is not None:
            findings.append(CheckFinding(name="users", ok=False, detail=problem, remedy=_REMEDY))
            return findings
    told = f"sbatch runs as {', '.join(names)}" if names else "nobody is mapped yet: every job is refused"
    return [*findings, CheckFinding(name="users", ok=True, detail=told)]


def _shared(directory: Path) -> CheckFinding:
    """Whether a directory can be given to one more user, and whether users can come so far."""
    tried = directory / f".check-{secrets.token_hex(8)}"
    try:
        tried.mkdir(mode=0o700)
        try:
            share(tried, {os.geteuid() + 1: ALL})
        finally:
            tried.rmdir()
    except OSError as error:
        said = f"{directory} cannot be shared with a user: {error.strerror or error}"
        return CheckFinding(name="access", ok=False, detail=said, remedy="mount it with acl, or name another directory")
    closed = next((path for path in directory.parents if not path.stat().st_mode & 0o001), None)
    if closed is not None:
        detail = f"users cannot pass through {closed} to {directory}"
        return CheckFinding(name="access", ok=False, detail=detail, remedy=f"chmod o+x {closed}")
    return CheckFinding(name="access", ok=True, detail=f"{directory} can be shared with one user at a time")
