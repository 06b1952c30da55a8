"""Telling Slurm to end jobs: many with one call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from dais.engines.contract import Phase
from dais.engines.slurm.asking import How, Slurm
from dais.engines.slurm.attempts import Known

GATHER_SECONDS = 0.05
AGAIN_SECONDS = 10.0
OVERDUE_SECONDS = 60.0
"""How long, beyond its grace, an attempt may take to end before its job is cancelled without regard."""
_most = 500


class Ender:
    """Collects what is to end. `on_done` is called when Slurm was told."""

    def __init__(self, slurm: Slurm, on_done: Callable[[], None]) -> None:
        self._slurm = slurm
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
            for how in _ways:
                for unix in sorted({known.unix for known in wanted}):
                    these = [known for known in wanted if self._how(known) == how and known.unix == unix]
                    for start in range(0, len(these), _most):
                        await self._tell(how, these[start : start + _most], unix)
        except OSError:
            self._wanted |= {known.attempt_id: known for known in wanted if not known.over}
            self._arrived.set()
            raise
        self._on_done()

    async def _tell(self, how: How, these: Sequence[Known], unix: str) -> None:
        await self._slurm.cancel([str(known.job) for known in these], how, unix)
        for known in these:
            self._told[known.attempt_id] = (how, time.monotonic())

    def _how(self, known: Known) -> How:
        if known.stop_by is not None and time.monotonic() > known.stop_by + OVERDUE_SECONDS:
            return "overdue"
        return "running" if known.status.phase in (Phase.RUNNING, Phase.STARTING) else "waiting"


_ways: tuple[How, ...] = ("waiting", "running", "overdue")
