"""What the engine asks of Slurm, whatever way it is asked: by its commands, or by slurmrestd (`rest`)."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

from dais.engines.slurm import nodes, queue
from dais.engines.slurm.commands import SECONDS, Commands, Failed, Owner
from dais.engines.slurm.nodes import Partition, SlurmNode
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.queue import Job

How = Literal["waiting", "running", "overdue"]
"""Whom an end is for: what has not begun; what runs, whose supervisor is told to see to it; what does not end."""


class Slurm(Protocol):
    """One Slurm, as one of its users. All that asks raises Unreachable, and Failed with Slurm's own words."""

    owner: Owner | None
    """Who owns jobs and their files, where that is not the server."""
    calls: Counter[str]
    """How often it was asked, by what."""
    signals: bool
    """Whether supervisors can be told to look at what is asked of them; else they look by themselves."""

    def close(self) -> None:
        """Ask nothing any more. Blocking, for a moment."""
        ...

    async def version(self) -> str:
        """In words, with where it was asked."""
        ...

    async def submit(self, words: Sequence[str], script: str, unix: str = "") -> str:
        """Hand a job over, with options of sbatch, as the user `unix`; its number."""
        ...

    async def try_out(self, words: Sequence[str], script: str) -> bool:
        """See whether such a job would be taken; False where that cannot be asked."""
        ...

    async def jobs(self, users: Sequence[str] = ()) -> list[Job]:
        """All jobs of attempts that Slurm knows, those that ended lately, too: the group's own, and these users'."""
        ...

    async def state(self, job: str) -> tuple[str, str] | None:
        """The state of one job and why it is in it; None when Slurm does not know it."""
        ...

    async def ends(self, jobs: Mapping[str, str]) -> dict[str, str]:
        """States by attempt of jobs (by attempt) that have left the queue; what nobody can tell is left out."""
        ...

    async def nodes(self) -> list[SlurmNode]:
        """All of them."""
        ...

    async def partitions(self) -> list[Partition]:
        """All of them."""
        ...

    async def cancel(self, jobs: Sequence[str], how: How, unix: str = "") -> None:
        """End jobs of one user, many at once; those that are over are no error."""
        ...

    async def wake(self, job: str, unix: str = "") -> None:
        """Tell the supervisor of a running job that a bridge is wanted."""
        ...


class ByCommands:
    """See `Slurm`."""

    signals = True

    def __init__(self, options: SlurmOptions, *, seconds: float = SECONDS) -> None:
        self.commands = Commands(options, seconds=seconds)
        self.owner = self.commands.owner
        self._mapped = options.map_users
        self._login = options.login
        self.calls = self.commands.calls
        self._where = f" on {options.login}" if options.login else ""

    def close(self) -> None:
        self.commands.close()

    async def version(self) -> str:
        return (await self.commands.run("sinfo", "--version")).strip() + self._where

    async def submit(self, words: Sequence[str], script: str, unix: str = "") -> str:
        said = await self.commands.run("sbatch", "--parsable", *words, given=script, unix=unix)
        return said.strip().splitlines()[-1].partition(";")[0]

    async def try_out(self, words: Sequence[str], script: str) -> bool:
        await self.commands.run("sbatch", "--test-only", *words, given=script)
        return True

    async def jobs(self, users: Sequence[str] = ()) -> list[Job]:
        whose = f"--user={','.join([self._own_name(), *users])}" if users else "--me"
        words = (whose, "--states=all", "--noheader", f"--format={queue.FORMAT}")
        found = queue.parse(await self.commands.run("squeue", *words))
        return [job if job.user in users else replace(job, user="") for job in found]

    def _own_name(self) -> str:
        """Who asks, as Slurm knows it: a name, or a uid of this machine's."""
        login, at, _ = self._login.partition("@")
        return login if at else str(self.owner[0] if self.owner else os.geteuid())

    async def state(self, job: str) -> tuple[str, str] | None:
        said = await self.commands.run("squeue", "--me", "--states=all", "--noheader", "--format=%i|%T|%r")
        found = [line.split("|") for line in said.splitlines() if line.startswith(f"{job}|")]
        return (found[0][1], found[0][2]) if found else None

    async def ends(self, jobs: Mapping[str, str]) -> dict[str, str]:
        """From the accounting; nothing where there is none.

        A controller that lost its newest jobs gives their numbers to others: only a job's name tells whose it is.
        """
        everybodys = ("--allusers",) if self._mapped else ()
        words = (*everybodys, "-X", "-n", "-P", "-j", ",".join(jobs.values()), "-o", "State,JobName%200")
        try:
            said = await self.commands.run("sacct", *words)
        except Failed:
            return {}
        return {attempt: state for attempt, state in queue.parse_ends(said).items() if attempt in jobs}

    async def nodes(self) -> list[SlurmNode]:
        return nodes.parse(await self.commands.run("scontrol", "show", "node", "--details", "--oneliner"))

    async def partitions(self) -> list[Partition]:
        return nodes.parse_partitions(await self.commands.run("sinfo", "--noheader", f"--format={nodes.PARTITIONS}"))

    async def cancel(self, jobs: Sequence[str], how: How, unix: str = "") -> None:
        try:
            await self.commands.run("scancel", "--quiet", *_cancelling[how], *jobs, unix=unix)
        except Failed:
            pass  # one of them has ended meanwhile; the next look at the queue tells

    async def wake(self, job: str, unix: str = "") -> None:
        await self.commands.run("scancel", "--quiet", "--batch", "--signal=USR1", job, unix=unix)


_cancelling: dict[How, tuple[str, ...]] = {
    # One that has started meanwhile finds what is asked of it when it looks, and is told so once that is known.
    "waiting": ("--state=PENDING",),
    "running": ("--batch", "--signal=TERM"),
    "overdue": (),
}


def ask(options: SlurmOptions, *, seconds: float = SECONDS) -> Slurm:
    """The way that a group's options say."""
    if options.rest:
        from dais.engines.slurm.rest import ByRest  # a client for HTTP, which few groups need

        return ByRest(options, seconds=seconds)
    return ByCommands(options, seconds=seconds)
