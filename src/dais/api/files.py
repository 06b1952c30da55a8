"""What the routes that move files share: a pool of threads for the disk, and bodies that are read piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from dais.api.errors import Disconnected
from dais.api.routing import Receive, drain

P = ParamSpec("P")
R = TypeVar("R")

CHUNK = 1 << 20
"""Bytes that are written or sent by one step of a thread."""

# Hashing and flushing may take long: they must not keep the threads that the rest of the server waits for.
_threads = ThreadPoolExecutor(8, thread_name_prefix="dais-files")


async def disk(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run work on files in a thread kept for it."""
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(function, *args, **kwargs))


class Body:
    """A body that comes in pieces of about CHUNK bytes: `async for piece in body`. Raises Disconnected when cut off."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def __aiter__(self) -> AsyncIterator[bytearray]:
        piece = bytearray()
        while not self._ended:
            piece += await self._next()
            if len(piece) >= CHUNK:
                yield piece
                piece = bytearray()
        if piece:
            yield piece

    async def drain(self) -> None:
        """Read on for a while what nobody wants."""
        if not self._ended:
            self._ended = True
            await drain(self._receive)

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        self._ended = not message.get("more_body", False)
        data: bytes = message.get("body", b"")
        return data
