"""Connections of the Docker Engine API that turn from HTTP into streams: what `exec` and `attach` answer."""

from __future__ import annotations

import asyncio
import contextlib
import json

from aiodocker import DockerError

_chunk = 64 << 10
_answer_limit = 1 << 16


class Hijacked:
    """Bytes to stdin, and (stream, bytes) back; `tty` streams are one and have no heads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._stream = 1
        self._left = 0
        self.tty = False

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send_eof(self) -> None:
        self._writer.write_eof()
        await self._writer.drain()

    async def receive(self) -> tuple[int, bytes] | None:
        """The next piece of output; None at the end."""
        if self.tty:
            data = await self._reader.read(_chunk)
            return (1, data) if data else None
        while self._left == 0:
            try:
                head = await self._reader.readexactly(8)
            except asyncio.IncompleteReadError:
                return None
            self._stream, self._left = head[0], int.from_bytes(head[4:], "big")
        data = await self._reader.read(min(self._left, _chunk))
        if not data:
            return None
        self._left -= len(data)
        return (self._stream if self._stream in (1, 2) else 1), data

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def hijack(socket: str, path: str, body: bytes) -> Hijacked:
    """Ask for a stream. Raises DockerError with the daemon's words, OSError."""
    reader, writer = await asyncio.open_unix_connection(socket, limit=4 * _chunk)
    try:
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status not in (101, 200):
            raise DockerError(status, _words(await _rest(reader, head)))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as error:
        writer.close()
        raise ConnectionError(f"the container daemon at {socket} did not answer as it should") from error
    except BaseException:
        writer.close()
        raise
    return Hijacked(reader, writer)


async def _rest(reader: asyncio.StreamReader, head: bytes) -> bytes:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return await reader.readexactly(min(int(value), _answer_limit))
    return await reader.read(_answer_limit)


def _words(content: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(content)["message"])
    return content.decode("utf-8", "replace").strip()
