"""A fake connection to a port of a fake container, which sends everything back."""

from __future__ import annotations

import asyncio

from dais.engines.fake.container import Container

ROOM = 1 << 20
"""Bytes that it holds before a sender must wait."""


class FakeEcho:
    """What is sent comes back; it breaks when the container ends."""

    def __init__(self, container: Container) -> None:
        self._held = bytearray()
        self._ended = False
        self._broken = False
        self._changed = asyncio.Condition()
        container.when_over.append(self._break)

    async def send(self, data: bytes) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._broken or len(self._held) < ROOM)
            self._check()
            self._held += data
            self._changed.notify_all()

    async def send_eof(self) -> None:
        async with self._changed:
            self._ended = True
            self._changed.notify_all()

    async def receive(self) -> bytes:
        async with self._changed:
            await self._changed.wait_for(lambda: self._broken or self._held or self._ended)
            self._check()
            data = bytes(self._held)
            self._held.clear()
            self._changed.notify_all()
            return data

    async def close(self) -> None:
        self._break()

    def _check(self) -> None:
        if self._broken:
            raise ConnectionResetError("the connection is gone")

    def _break(self) -> None:
        self._broken = True
        self._waking = asyncio.ensure_future(self._wake())

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()
