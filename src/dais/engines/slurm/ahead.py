"""How many jobs more than fit Slurm is handed while short ones come and go. No I/O.

Between a job's handover and its beginning, and between its end and the news of it, seconds may pass, in which its place
counts as taken and nothing runs there. Behind jobs that take hours this is nothing; behind those that take a second it
is most of the time. So each short run that ends lets one more wait inside Slurm, for as long as a run may be short.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from dais.engines.contract import Phase, Status

SHORT_SECONDS = 5.0


class Ahead:
    """Counts the short runs that have ended lately. `clock` tells seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: deque[float] = deque()

    def see(self, status: Status) -> None:
        """Take in what a node has told of an attempt, once."""
        if status.phase is not Phase.ENDED or status.started_at is None or status.ended_at is None:
            return
        if status.ended_at - status.started_at < SHORT_SECONDS * 1e6:
            self._ends.append(self._clock())

    @property
    def count(self) -> int:
        """How many jobs more may wait now."""
        since = self._clock() - SHORT_SECONDS
        while self._ends and self._ends[0] < since:
            self._ends.popleft()
        return len(self._ends)
