"""Memory for packs, which all connections share: so much of it and no more, and none while nobody sends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dais.kit.errors import Unavailable

WAIT_SECONDS = 5.0
"""How long a pack waits for room: clients send it to the API then."""


class Rooms:
    """At most `most` buffers of `size` bytes. They are used again: new memory would have to be cleared first."""

    def __init__(self, most: int, size: int, wait: float = WAIT_SECONDS) -> None:
        self._size = size
        self._wait = wait
        self._left = threading.Semaphore(most)
        self._free: list[bytearray] = []

    @contextmanager
    def taken(self) -> Iterator[memoryview]:
        """One of them while the block runs. Blocks. Raises Unavailable `busy` when none is given back in time."""
        if not self._left.acquire(timeout=self._wait):
            raise Unavailable("all room for packs is in use; send it to the API", code="busy", retry_after=1)
        try:
            room = self._free.pop()
        except IndexError:
            room = bytearray(self._size)
        try:
            yield memoryview(room)
        finally:
            self._free.append(room)
            self._left.release()

    def shed(self) -> None:
        """Give back the memory of those that nobody uses."""
        self._free.clear()
