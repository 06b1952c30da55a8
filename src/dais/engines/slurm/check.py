"""What is found when Slurm is asked, before a group is attached, whether jobs could run there."""

from __future__ import annotations

import asyncio
import difflib
import os
import pwd
import secrets
import shutil
import time
from pathlib import Path

from dais.engines.contract import CheckFinding, CheckReport, LaunchRefused
from dais.engines.slurm.asking import Slurm, ask
from dais.engines.slurm.check_users import mapped
from dais.engines.slurm.commands import Failed, Unreachable, owner_of
from dais.engines.slurm.host import NodeFacts, NoRoom, ask_a_node
from dais.engines.slurm.nodes import Partition
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.program import lay_down
from dais.engines.slurm.store import Store

CHECK_SECONDS = 10.0
"""How long each command of Slurm's may take."""
JOB_SECONDS = 30.0
"""How long a job that only looks may wait and run."""


async def check(options: SlurmOptions, *, data_dir: Path, seconds: float = JOB_SECONDS) -> CheckReport:
    """See `dais.engines.contract.check`.

    A job is tried with `sbatch --test-only`, and if all is well so far a small one is run, which looks at its node.
    """
    findings = [_directory(options, data_dir), _user(options)]
    if not findings[-1].ok:
        return CheckReport(findings=tuple(findings))
    slurm = ask(options, seconds=CHECK_SECONDS)
    try:
        findings += await _asked(options, slurm)
        if options.map_users and findings[-1].ok:
            findings += await mapped(options, slurm)
        # A server is never root: who is (`dais doctor`) could try a job of root's alone, which says nothing of others.
        jobs_are_ours = slurm.owner is not None or os.geteuid() != 0
        if jobs_are_ours and all(finding.ok for finding in findings):
            findings += await _ran(options, slurm, data_dir, seconds)
    finally:
        await asyncio.to_thread(slurm.close)
    return CheckReport(findings=tuple(findings), default_image="host")


async def _asked(options: SlurmOptions, slurm: Slurm) -> list[CheckFinding]:
    """What Slurm itself answers, until something is missing on which the rest would rest."""
    try:
        version = await slurm.version()
    except (Unreachable, Failed) as error:
        where = f"ssh {options.login} true" if options.login else "install Slurm's client commands (slurm-client)"
        if options.rest:
            where = f"see slurmrestd's log: it must serve {options.rest_version}, and let the server in"
        return [CheckFinding(name="commands", ok=False, detail=str(error), remedy=where)]
    found = [CheckFinding(name="commands", ok=True, detail=version)]
    try:
        known = await slurm.partitions()
        nodes = await slurm.nodes()
    except (Unreachable, Failed) as error:
        remedy = "systemctl status slurmctld munge; a slurm.conf elsewhere is named with --option conf=PATH"
        return [*found, CheckFinding(name="controller", ok=False, detail=str(error), remedy=remedy)]
    found.append(CheckFinding(name="controller", ok=True, detail="it answers"))
    partition = _partition(options, known)
    found.append(partition)
    if not partition.ok:
        return found
    name = options.partition or next(one.name for one in known if one.default)
    inside = [node for node in nodes if name in node.partitions]
    away = [node for node in inside if node.away]
    found.append(
        CheckFinding(
            name="nodes",
            ok=len(away) < len(inside),
            detail=f"{len(inside) - len(away)} of {len(inside)} can start jobs"
            + (f"; {away[0].name}: {away[0].away}" if away else ""),
            remedy=f"sinfo -R -p {name}",
            needed=False,
        )
    )
    return [*found, await _submitting(options, slurm)]


def _partition(options: SlurmOptions, known: list[Partition]) -> CheckFinding:
    names = [one.name for one in known]
    if options.partition:
        if options.partition in names:
            return CheckFinding(name="partition", ok=True, detail=options.partition)
        near = difflib.get_close_matches(options.partition, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
        detail = f"there is no partition {options.partition!r}; {hint}"
        return CheckFinding(name="partition", ok=False, detail=detail, remedy="dais attach slurm --partition NAME")
    default = next((one.name for one in known if one.default), None)
    if default is not None:
        return CheckFinding(name="partition", ok=True, detail=f"{default}, which is Slurm's default")
    detail = f"Slurm has no default partition; there are: {', '.join(names) or 'none'}"
    return CheckFinding(name="partition", ok=False, detail=detail, remedy="dais attach slurm --partition NAME")


async def _submitting(options: SlurmOptions, slurm: Slurm) -> CheckFinding:
    """Whether Slurm would take a job of this user, with these options."""
    named = {"partition": options.partition, "account": options.account, "qos": options.qos,
             "constraint": options.constraint, "reservation": options.reservation}  # fmt: skip
    words = [f"--{name}={value}" for name, value in named.items() if value]
    try:
        asked = await slurm.try_out([*words, *options.extra], "#!/bin/sh\ntrue\n")
    except (Unreachable, Failed) as error:
        remedy = "see that the user has an account there (sacctmgr show assoc), or name another with --option account="
        return CheckFinding(name="submitting", ok=False, detail=f"a job would be refused: {error}", remedy=remedy)
    detail = "a job like ours would be taken" if asked else "slurmrestd cannot be asked; the job below tells"
    return CheckFinding(name="submitting", ok=True, detail=detail)


async def _ran(options: SlurmOptions, slurm: Slurm, data_dir: Path, seconds: float) -> list[CheckFinding]:
    """What a job says that was really run: it starts, writes where it should, and tells what its node can do."""
    store = Store(
        (Path(options.directory) if options.directory else data_dir) / f".check-{secrets.token_hex(8)}", slurm.owner
    )
    begun = time.monotonic()
    try:
        program = await asyncio.to_thread(lay_down, store, slurm.owner)
        facts = await ask_a_node(slurm, options, store, program, seconds=seconds)
    except NoRoom as error:
        return [CheckFinding(name="job", ok=False, detail=str(error), remedy="squeue; sinfo", needed=False)]
    except (LaunchRefused, Unreachable, OSError) as error:
        remedy = "see slurmd's log on the node; it must have the directory, and know the user"
        return [CheckFinding(name="job", ok=False, detail=str(error), remedy=remedy)]
    finally:
        await asyncio.to_thread(shutil.rmtree, store.directory, ignore_errors=True)
    took = time.monotonic() - begun
    detail = f"one ran on {facts.node} within {took:.1f} s, with Python {facts.version}, and wrote to the directory"
    return [CheckFinding(name="job", ok=True, detail=detail), _apart(facts, options), _images(facts, options)]


def _apart(facts: NodeFacts, options: SlurmOptions) -> CheckFinding:
    """Whether jobs are kept from each other there."""
    mode = facts.mode(options)
    why = "the option isolation says so" if options.isolation else str(facts.isolation.get("bwrap", "not looked at"))
    return CheckFinding(
        name="sandbox",
        ok=mode == "sandbox",
        detail=f"by bubblewrap on {facts.node}" if mode == "sandbox" else f"jobs run in process mode: {why}",
        remedy="install bubblewrap on the nodes, and let users make user namespaces",
        needed=False,
    )


def _images(facts: NodeFacts, options: SlurmOptions) -> CheckFinding:
    """Whether jobs can start from images there."""
    program = options.apptainer or facts.apptainer
    if program is None:
        detail = f"no Apptainer on {facts.node}: jobs start from the nodes themselves"
    else:
        detail = f"by {program}; unverified: Dais was written against Apptainer's documentation, and never run with it"
    return CheckFinding(name="images", ok=True, detail=detail, needed=False)


def _user(options: SlurmOptions) -> CheckFinding:
    """Whose the jobs will be: Slurm runs jobs of users alone whom its nodes know by name."""
    try:
        owner = owner_of(options)
    except LookupError as error:
        return CheckFinding(name="user", ok=False, detail=str(error), remedy=f"useradd {options.user}")
    uid = os.geteuid() if owner is None else owner[0]
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return CheckFinding(
            name="user",
            ok=options.login != "",
            detail=f"the server runs as uid {uid}, which has no name here: Slurm would not start its jobs",
            remedy=f"useradd --system --uid {uid} dais here and on the nodes, then start Dais anew",
        )
    if options.user and name != options.user:
        return CheckFinding(
            name="user",
            ok=False,
            detail=f"the server runs as {name} and can submit jobs of {name} alone, not of {options.user}",
            remedy="leave the option user out",
        )
    return CheckFinding(name="user", ok=True, detail=f"jobs are {name}'s; the nodes must know that user, too")


def _directory(options: SlurmOptions, data_dir: Path) -> CheckFinding:
    """The place that nodes read launches from: here it can only be seen whether it is one."""
    given = options.directory
    path = Path(given) if given else data_dir
    remedy = "dais attach slurm --option directory=PATH, on a file system that all nodes share"
    if not path.is_absolute() or not path.is_dir():
        return CheckFinding(name="directory", ok=False, detail=f"{path} is no directory here", remedy=remedy)
    if not os.access(path, os.W_OK | os.X_OK):
        return CheckFinding(name="directory", ok=False, detail=f"{path} cannot be written by the server", remedy=remedy)
    shared = "" if given else " (the data directory)"
    return CheckFinding(
        name="directory", ok=True, detail=f"{path}{shared}; the nodes must have it at the same path", remedy=remedy
    )
