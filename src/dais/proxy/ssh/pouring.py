"""What comes from a client and waits until its other side takes it: little, for then the client is stopped."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

HIGH, LOW = 256 << 10, 64 << 10
"""Bytes that wait before the client is stopped, and from which on it goes on."""


class Inbox:
    """Bytes in order, and their end. `stop` and `go_on` are the client's tap."""

    def __init__(self, stop: Callable[[], None], go_on: Callable[[], None]) -> None:
        self._stop, self._go_on = stop, go_on
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._stopped = False
        self._ended = False
        self._wake = asyncio.Event()

    def put(self, data: bytes) -> None:
        self._waiting.append(data)
        self._bytes += len(data)
        self._wake.set()
        if self._bytes > HIGH and not self._stopped:
            self._stopped = True
            self._stop()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._wake.set()

    async def take(self) -> bytes:
        """All that waits, at least one byte; empty at the end."""
        while not self._waiting:
            if self._ended:
                return b""
            self._wake.clear()
            await self._wake.wait()
        data = self._waiting.popleft() if len(self._waiting) == 1 else b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        if self._stopped:
            self._stopped = False
            self._go_on()
        return data


class Tap:
    """Whether what goes to the client may be written: asyncssh closes it when too much waits."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    def close(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    async def wait(self) -> None:
        await self._open.wait()
