"""Server-Sent Events: ids to resume from, a comment every 15 s so that dead connections show, slow readers cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

ACCEPTED = b""
"""What a source yields once it is sure that the reader may follow, where the first event may be long in coming."""
SOON_SECONDS = 0.05
KEEP_ALIVE_SECONDS = 15.0
SLOW_SECONDS = 30.0
"""A reader that takes nothing for so long is cut; it resumes from the last id that it has."""

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event. `data` is anything that msgspec encodes; it goes out as one line of JSON."""

    data: Any
    event: str = "message"
    id: str | None = None

    def encode(self) -> bytes:
        data = msgspec.json.encode(self.data)
        head = f"id: {self.id}\n" if self.id is not None else ""
        return f"{head}event: {self.event}\ndata: ".encode() + data + b"\n\n"


async def stream_events(
    source: AsyncIterator[ServerEvent | bytes],
    receive: Receive,
    send: Send,
    stopping: asyncio.Event,
    *,
    soon: float = SOON_SECONDS,
    keep_alive: float = KEEP_ALIVE_SECONDS,
    slow: float = SLOW_SECONDS,
) -> None:
    """Send what `source` yields until it ends, the client goes, or the server stops.

    The answer begins with the first event or, when there is none `soon` seconds after `ACCEPTED`, with a keep-alive;
    what `source` raises before that is the caller's to answer, what it raises later ends the stream.
    """
    started = False

    async def write(body: bytes, more: bool = True) -> None:
        nonlocal started
        async with asyncio.timeout(slow):
            if not started:
                started = True
                await send({"type": "http.response.start", "status": 200, "headers": _headers})
            await send({"type": "http.response.body", "body": body, "more_body": more})

    gone = asyncio.ensure_future(_gone(receive))
    stop = asyncio.ensure_future(stopping.wait())
    upcoming = asyncio.ensure_future(_next(source))
    try:
        wait: float | None = None  # a refusal has another head, however long a busy machine takes for it
        while True:
            await asyncio.wait((upcoming, gone, stop), timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() or (stop.done() and not upcoming.done()):
                break
            if not upcoming.done():
                await write(b": \n\n")
                wait = keep_alive
                continue
            item = upcoming.result()
            if item is None:
                break
            if item is not ACCEPTED:
                await write(item if isinstance(item, bytes) else item.encode())
            # The head goes out when there is nothing to say yet, so that the client knows it is heard.
            wait = keep_alive if started else soon
            upcoming = asyncio.ensure_future(_next(source))
        if not gone.done():
            await write(b"", more=False)
    except TimeoutError:
        if not started:
            raise
    finally:
        for task in (gone, stop, upcoming):
            task.cancel()
        await asyncio.gather(gone, stop, upcoming, return_exceptions=True)
        close = getattr(source, "aclose", None)
        if close is not None:
            with contextlib.suppress(RuntimeError):
                await close()


_headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


async def _next(source: AsyncIterator[ServerEvent | bytes]) -> ServerEvent | bytes | None:
    return await anext(source, None)


async def _gone(receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
