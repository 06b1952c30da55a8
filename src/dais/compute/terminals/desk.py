"""Every shell that this process holds: opened, found again, ended.

A shell belongs to who opened it: nobody else sees it. It lives as long as this process, for its pty is held by a
connection of this process to the job's machine.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from dais.compute.activity import Activity
from dais.compute.jobs.types import Work
from dais.compute.terminals.held import Held, Viewer
from dais.compute.terminals.settings import TerminalSettings
from dais.engines.contract import ExecStream, Terminal
from dais.kit.clock import Clock
from dais.kit.errors import NotFound, TooMany
from dais.kit.ids import new_id

SHELL = (
    "/bin/sh",
    "-c",
    'test -n "$SHELL" && test -x "$SHELL" && exec "$SHELL"; command -v bash >/dev/null 2>&1 && exec bash; exec sh',
)
SWEEP_SECONDS = 10.0
REMEMBERED = 512
"""Shells that have ended of which it is remembered why."""

WHY = {
    "lost": "the connection to the job's machine was lost",
    "unwatched": "nobody had looked at it for a while",
    "closed": "it was ended",
    "refused": "you may not work in this job any more",
    "job-ended": "the job has ended",
}

Run = Callable[..., Awaitable[ExecStream]]


class Terminals:
    """Holds shells. `run` is `Compute.exec`."""

    def __init__(self, run: Run, activity: Activity, clock: Clock, settings: TerminalSettings) -> None:
        self.settings = settings
        self.shell: Sequence[str] = SHELL
        self._run = run
        self._activity = activity
        self._clock = clock
        self._held: dict[str, Held] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._gone: OrderedDict[str, str] = OrderedDict()
        self._opening: dict[tuple[str, str], int] = {}
        self._sweeping: asyncio.Task[None] | None = None

    async def open(self, work: Work, owner_id: str, rows: int, cols: int) -> Held:
        """Start a shell in a running job. Raises TooMany `too-many-terminals`, and what `Compute.exec` raises."""
        key = (owner_id, work.run_id)
        self._check(owner_id, work.run_id)
        self._opening[key] = self._opening.get(key, 0) + 1
        try:
            rows, cols = Viewer.bounded(rows, cols)
            size = Terminal(rows=rows, cols=cols)
            stream = await self._run(work, self.shell, env={}, workdir=None, pty=size)
        finally:
            self._opening[key] -= 1
            if not self._opening[key]:
                del self._opening[key]
        held = Held(new_id(), work.run_id, owner_id, stream, size, self._clock, self.settings.replay)
        self._held[held.id] = held
        task = asyncio.create_task(self._hold(held), name=f"terminal {held.id}")
        task.add_done_callback(lambda _: self._forget(held))
        self._tasks[held.id] = task
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep(), name="terminals")
        return held

    def of(self, run_id: str, owner_id: str) -> list[Held]:
        """A user's shells in a run, the oldest first."""
        return [held for held in self._held.values() if held.run_id == run_id and held.owner_id == owner_id]

    def find(self, id_: str, run_id: str, owner_id: str) -> Held:
        """A shell of this user. Raises NotFound `no-such-terminal`, which says what became of it."""
        held = self._held.get(id_)
        if held is None or (held.run_id, held.owner_id) != (run_id, owner_id):
            why = WHY.get(self._gone.get(id_, ""), "the server was started again")
            raise NotFound(f"this shell is no more: {why}; open a new one", code="no-such-terminal", terminal=id_)
        return held

    def say(self, run_id: str, words: str) -> None:
        """Tell everybody who looks at a shell in this run something."""
        for held in self._held.values():
            if held.run_id == run_id:
                held.say(words)

    async def end(self, held: Held, why: str = "closed") -> None:
        """End a shell."""
        held.end(why)
        task = self._tasks.get(held.id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await held.close()  # it may not even have begun

    async def sweep(self) -> None:
        """End what nobody has looked at for too long."""
        for held in [held for held in self._held.values() if held.is_unwatched(self.settings.unwatched)]:
            await self.end(held, "unwatched")

    async def close(self) -> None:
        """End them all: the server stops."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
            self._sweeping = None
        for held in list(self._held.values()):
            await self.end(held)

    async def _hold(self, held: Held) -> None:
        run_id = held.run_id
        with self._activity.open(run_id, "terminal"):
            await held.run(lambda: self._activity.note(run_id, "terminal"))

    def _forget(self, held: Held) -> None:
        """It is over: only why is remembered."""
        self._held.pop(held.id, None)
        self._tasks.pop(held.id, None)
        self._gone[held.id] = held.over
        while len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            with contextlib.suppress(OSError):
                await self.sweep()

    def _check(self, owner_id: str, run_id: str) -> None:
        mine = [held.run_id for held in self._held.values() if held.owner_id == owner_id]
        mine += [run for (owner, run), count in self._opening.items() if owner == owner_id for _ in range(count)]
        here = mine.count(run_id)
        if here >= self.settings.per_job:
            raise TooMany(
                f"you have {here} shells open in this job, which is the limit; end one of them",
                code="too-many-terminals",
                limit=self.settings.per_job,
            )
        if len(mine) >= self.settings.per_user:
            raise TooMany(
                f"you have {len(mine)} shells open in your jobs, which is the limit; end some of them",
                code="too-many-terminals",
                limit=self.settings.per_user,
            )
