"""Telling Slurm to end jobs: many with one call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from dais.engines.contract import Phase
from dais.engines.slurm.attempts import Known
from dais.engines.slurm.commands import Commands, Failed

GATHER_SECONDS = 0.05
AGAIN_SECONDS = 10.0
OVERDUE_SECONDS = 60.0
"""How long, beyond its grace, an attempt may take to end before its job is cancelled without regard."""
_most = 500


class Ender:
    """Collects what is to end. `on_done` is called when Slurm was told."""

    def __init__(self, commands: Commands, on_done: Callable[[], None]) -> None:
        self._commands = commands
        self._on_done = on_done
        self._wanted: dict[str, Known] = {}
        self._told: dict[str, tuple[str, float]] = {}
        self._arrived = asyncio.Event()

    def add(self, known: Known) -> None:
        """End it, unless Slurm has just been told so.

        What Slurm has not been seen to have is added again when it is: a job's number alone does not tell whose it is.
        """
        if known.over or known.gone_at is not None:
            return
        if known.seen is None or known.seen.job != known.job:
            self._on_done()
            return
        how, now = self._how(known), time.monotonic()
        before, at = self._told.get(known.attempt_id, ("", 0.0))
        if before != how or now - at > AGAIN_SECONDS:
            self._wanted[known.attempt_id] = known
            self._arrived.set()

    def forget(self, attempt_ids: Sequence[str]) -> None:
        for attempt_id in attempt_ids:
            self._told.pop(attempt_id, None)

    async def work(self) -> None:
        """Tell Slurm of what is wanted now. Raises Unreachable, with all of it still wanted."""
        await self._arrived.wait()
        await asyncio.sleep(GATHER_SECONDS)
        self._arrived.clear()
        wanted = [known for known in self._wanted.values() if not known.over]
        self._wanted.clear()
        try:
            for how, words in _ways.items():
                these = [known for known in wanted if self._how(known) == how]
                for start in range(0, len(these), _most):
                    await self._tell(how, words, these[start : start + _most])
        except OSError:
            self._wanted |= {known.attempt_id: known for known in wanted if not known.over}
            self._arrived.set()
            raise
        self._on_done()

    async def _tell(self, how: str, words: Sequence[str], these: Sequence[Known]) -> None:
        try:
            await self._commands.run("scancel", "--quiet", *words, *(str(known.job) for known in these))
        except Failed:
            pass  # one of them has ended meanwhile; the next look at the queue tells
        for known in these:
            self._told[known.attempt_id] = (how, time.monotonic())

    def _how(self, known: Known) -> str:
        if known.stop_by is not None and time.monotonic() > known.stop_by + OVERDUE_SECONDS:
            return "overdue"
        return "running" if known.status.phase in (Phase.RUNNING, Phase.STARTING) else "waiting"


_ways = {
    # One that has started meanwhile finds what is asked of it when it looks, and is told so once that is known.
    "waiting": ("--state=PENDING",),
    "running": ("--batch", "--signal=TERM"),
    "overdue": (),
}
