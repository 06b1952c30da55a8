"""Memory for packs, which all connections share: so much of it and no more, and none while nobody sends.

One user has at most half of it, and who is slow gives way to others: a pack that trickles in would hold its room for a
quarter of an hour, and eight of them would leave nothing to anybody else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dais.kit.errors import Unavailable

WAIT_SECONDS = 5.0
"""How long a pack waits for room: clients send it to the API then."""

LENT_SECONDS = 10.0
"""How long a room is lent at least; after that it is asked back for another pack when all are in use."""


@dataclass(eq=False, slots=True)
class _Lent:
    """A room in use. `ask_back` is called at most once, by another thread."""

    user: str
    since: float
    ask_back: Callable[[], None]
    asked: bool = False


class Rooms:
    """At most `most` buffers of `size` bytes. They are used again: new memory would have to be cleared first.

    `now` is a clock in seconds that never goes back.
    """

    def __init__(
        self,
        most: int,
        size: int,
        *,
        wait: float = WAIT_SECONDS,
        lent: float = LENT_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._share = max(1, most // 2)
        self._size = size
        self._wait = wait
        self._lent_seconds = lent
        self._now = now
        self._changed = threading.Condition()
        self._lent: list[_Lent] = []
        self._promised = 0
        """Rooms that will come back for those who asked; nobody else takes them first."""
        self._free: list[bytearray] = []

    @contextmanager
    def taken(self, user: str, ask_back: Callable[[], None]) -> Iterator[memoryview]:
        """One of them while the block runs, which `ask_back` should bring to its end. Blocks.

        Raises Unavailable `busy` when none is given back in time, or none of the user's.
        """
        lent = self._lend(user, ask_back)
        try:
            room = self._free.pop()
        except IndexError:
            room = bytearray(self._size)
        try:
            yield memoryview(room)
        finally:
            with self._changed:
                self._free.append(room)
                self._lent.remove(lent)
                self._changed.notify_all()

    def shed(self) -> None:
        """Give back the memory of those that nobody uses."""
        self._free.clear()

    def _lend(self, user: str, ask_back: Callable[[], None]) -> _Lent:
        until, asked = self._now() + self._wait, False
        with self._changed:
            try:
                while True:
                    has_share = sum(one.user == user for one in self._lent) >= self._share
                    if not has_share and len(self._lent) + self._promised - asked < self._most:
                        lent = _Lent(user, self._now(), ask_back)
                        self._lent.append(lent)
                        return lent
                    if not has_share and not asked and (asked := self._asked_back()):
                        continue
                    left = until - self._now()
                    if left <= 0:
                        raise self._busy(has_share)
                    self._changed.wait(left if asked or has_share else min(left, self._next_due()))
            finally:
                self._promised -= asked

    def _asked_back(self) -> bool:
        """Ask for the room that is lent longest, if that is long enough; whether the next one is promised for it."""
        for one in self._lent:  # the longest first
            if not one.asked and self._now() - one.since >= self._lent_seconds:
                one.asked = True
                self._promised += 1
                one.ask_back()
                return True
        return False

    def _next_due(self) -> float:
        """Seconds until a room may be asked for; as long as one waits when all have been."""
        due = [one.since + self._lent_seconds - self._now() for one in self._lent if not one.asked]
        return max(0.0, due[0]) if due else self._wait

    def _busy(self, has_share: bool) -> Unavailable:
        whose = f"your share of the room for packs, {self._share:,}," if has_share else "all room for packs"
        return Unavailable(f"{whose} is in use; send it to the API", code="busy", retry_after=1)
