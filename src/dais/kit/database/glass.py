"""Reading SQLite on the event loop: one snapshot for all that is asked within a turn of it, and a bound on its time."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time

LONGEST_SECONDS = 0.02
"""How long the event loop may stand still for one verb."""
LOOK_AT_CLOCK = 2_000
"""Instructions of SQLite's machine between two looks at the clock; a row by its key takes some thirty."""


class Glass:
    """A connection of an event loop's own, with the snapshot that is open in it.

    Beginning and ending a snapshot costs as much as finding a row, so that requests which are answered in the same
    turn share one. It never outlives the turn: nothing may keep the write-ahead log from being shortened.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only = 1")
        connection.execute("PRAGMA busy_timeout = 0")
        connection.set_progress_handler(self._is_late, LOOK_AT_CLOCK)
        self.connection = connection
        self._loop: asyncio.AbstractEventLoop | None = None
        self._commits = 0
        self._until = 0.0

    def look(self, commits: int) -> None:
        """Have a snapshot with the first `commits` commits of this process; the verb's time begins."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._commits != commits:
            if self._loop is not loop:
                loop.call_soon(self.look_away)
            self._roll_back()
            self.connection.execute("BEGIN")
            self._loop = loop
            self._commits = commits
        self._until = time.perf_counter() + LONGEST_SECONDS

    def look_away(self) -> None:
        """End the snapshot, if one is open."""
        if self._loop is not None:
            self._loop = None
            self._roll_back()

    def close(self) -> None:
        """Let go of the file."""
        self._loop = None
        self.connection.close()

    def _roll_back(self) -> None:
        """End the snapshot: no verb, and so never too late, though the last verb's time may be over."""
        self._until = math.inf
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _is_late(self) -> bool:
        return time.perf_counter() > self._until
