"""A stream of an engine as an asyncio transport, where there is no socket to be had: over TLS, in frames."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from dais.engines.contract import ByteStream

HIGH, LOW = 256 << 10, 64 << 10
"""Bytes waiting to be sent at which the protocol is asked to stop, and may go on."""


class Adapted:
    """As much of `asyncio.Transport` as protocols of this package use."""

    def __init__(self, stream: ByteStream, protocol: asyncio.Protocol) -> None:
        self._stream = stream
        self._protocol = protocol
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._full = False
        self._more = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._closing = self._ended = False
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        self._done = asyncio.create_task(self._run())

    def write(self, data: bytes) -> None:
        if self._closing or not data:
            return
        self._waiting.append(data)
        self._size += len(data)
        self._more.set()
        if self._size > HIGH and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def writelines(self, pieces: list[bytes]) -> None:
        self.write(b"".join(pieces))

    def write_eof(self) -> None:
        self._ended = True
        self._more.set()

    def pause_reading(self) -> None:
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    def is_reading(self) -> bool:
        return self._may_read.is_set()

    def is_closing(self) -> bool:
        return self._closing

    def get_write_buffer_size(self) -> int:
        return self._size

    def close(self) -> None:
        """What is waiting is sent yet."""
        self._closing = True
        self._more.set()

    def abort(self) -> None:
        self._closing = True
        for task in self._tasks:
            task.cancel()

    async def _run(self) -> None:
        """Until both directions are over, or one of them broke."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        broken = [task.exception() for task in self._tasks if task.done() and not task.cancelled()]
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(OSError):
            await self._stream.close()
        self._protocol.connection_lost(next((error for error in broken if isinstance(error, Exception)), None))

    async def _read(self) -> None:
        while True:
            await self._may_read.wait()
            data = await self._stream.receive()
            if not data:
                break
            self._protocol.data_received(data)
        if not self._protocol.eof_received():
            self.close()

    async def _write(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                data = self._waiting.popleft()
                await self._stream.send(data)
                self._size -= len(data)
                if self._full and self._size < LOW:
                    self._full = False
                    self._protocol.resume_writing()
            if self._closing:
                self._tasks[0].cancel()
                return
            if self._ended:
                self._ended = False
                await self._stream.send_eof()
