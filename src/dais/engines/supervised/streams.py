"""Dialled connections, as the contract has them: on this machine the socket itself, over TLS in frames."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from dais.node.streams import CHUNK, part, read_part


class _Stream:
    """What asyncio's streams have."""

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
    """A connection to a port, by a socket of any kind."""

    _detached = False

    def detach(self, protocol: asyncio.Protocol) -> tuple[asyncio.Transport, bytes, bool]:
        """As `Detachable`."""
        transport, held = cast(asyncio.Transport, self._writer.transport), cast(Any, self._reader)
        transport.pause_reading()
        # asyncio has no public way to hand over what a reader holds.
        waiting, ended = bytes(held._buffer), bool(held._eof)
        transport.set_protocol(protocol)
        self._detached = True
        return transport, waiting, ended

    async def close(self) -> None:
        if self._detached:
            self._writer.close()  # its end is told to the other protocol
        else:
            await super().close()


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
