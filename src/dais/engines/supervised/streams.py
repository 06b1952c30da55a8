"""Dialled connections, as the contract has them: on this machine the socket itself, over TLS in frames."""

from __future__ import annotations

import asyncio
from typing import cast

from dais.node.streams import CHUNK, part, read_part


class _Stream:
    """A connection to a port, by a socket of any kind."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._writer.write(data)
        await self._writer.drain()

    async def send_eof(self) -> None:
        self._writer.write_eof()

    async def receive(self) -> bytes:
        return await self._reader.read(CHUNK)

    async def close(self) -> None:
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)


class PlainStream(_Stream):
    """One whose socket carries nothing but what the two ends say."""

    def detach(self) -> tuple[asyncio.Transport, bytes]:
        came = bytes(self._reader._buffer)  # type: ignore[attr-defined]
        self._reader._buffer.clear()  # type: ignore[attr-defined]
        return cast(asyncio.Transport, self._writer.transport), came


class PartStream(_Stream):
    """The same in frames, for TLS cannot end one direction alone."""

    _ended = False

    async def send(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            await super().send(part(data[start : start + CHUNK]))

    async def send_eof(self) -> None:
        self._writer.write(part(b""))
        await self._writer.drain()

    async def receive(self) -> bytes:
        if self._ended:
            return b""
        data = await read_part(self._reader)
        self._ended = not data
        return data
