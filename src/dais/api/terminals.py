"""A page, or a program, that looks at a shell which the server holds: the messages between them.

The first message is JSON `{terminal, new, at, rows, cols}`: a shell by its id (None: this user's newest in the job,
else a new one), the offset up to which its output was drawn before, and the size of the screen. Then binary messages
carry what is typed, and text messages JSON: `{"size": [rows, cols]}`, `{"drawn": offset}`, `{"end": true}`.

Answered are binary messages with output, each beginning where the one before ended, and JSON with a `kind`: `terminal`
(its id, the offset `at` of the next output, whether the screen begins `fresh`, the ids of all), `size` (of the page
in use), `say` (words of Dais itself), `ended` (why, the exit code), `problem` (code, detail).
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from dais.api.context import Services
from dais.api.routing import Receive, Send
from dais.compute import Held, Viewer, Work
from dais.kit.errors import Invalid, TooMany

MAX_MESSAGE = 1 << 20
"""Bytes of a message: what is pasted comes in pieces of less."""
FIRST_MESSAGE_SECONDS = 30.0
GONE, RESTARTS, SLOW = 1000, 1012, 4408
"""Codes of the close: it is over; the server stops, come back; too slow, come back."""


class TerminalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be looked at."""

    terminal: str | None = None
    new: bool = False
    at: int | None = None
    rows: int = 24
    cols: int = 80


class _Told(msgspec.Struct, frozen=True):
    """What a page tells."""

    size: tuple[int, int] | None = None
    drawn: int | None = None
    end: bool = False


_told = msgspec.json.Decoder(_Told).decode


async def first_message(receive: Receive, kind: type[Any]) -> Any:
    """The request. Raises Invalid `bad-terminal`."""
    try:
        async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
            message = await receive()
    except TimeoutError as error:
        raise Invalid("no request came; send JSON {rows, cols} first", code="bad-terminal") from error
    text = message.get("text") or message.get("bytes") or ""
    try:
        return msgspec.json.decode(text[:MAX_MESSAGE], type=kind)
    except msgspec.DecodeError as error:
        raise Invalid(f"the first message is not {{terminal, rows, cols}}: {error}", code="bad-terminal") from error


async def look(
    services: Services, work: Work, owner_id: str, request: TerminalRequest, receive: Receive, send: Send
) -> int:
    """Serve one page until it goes, the shell ends or the server stops; the code to close with.

    Raises NotFound `no-such-terminal`, TooMany `too-many-terminals`, `too-many-viewers`; as `Compute.exec` does.
    """
    terminals = services.compute.terminals
    mine = terminals.of(work.run_id, owner_id)
    if request.terminal is not None:
        held = terminals.find(request.terminal, work.run_id, owner_id)
    elif mine and not request.new:
        held = mine[-1]
    else:
        held = await terminals.open(work, owner_id, request.rows, request.cols)
    if len(held.viewers) >= terminals.settings.viewers:
        raise TooMany(
            f"{len(held.viewers)} pages look at this shell already, which is the limit; close some",
            code="too-many-viewers",
            limit=terminals.settings.viewers,
        )
    viewer = Viewer.of_size(request.rows, request.cols)
    first = await held.join(viewer, request.at if request.terminal is not None else None)
    try:
        ids = [one.id for one in terminals.of(work.run_id, owner_id)]
        hello = {"kind": "terminal", "id": held.id, "at": viewer.at, "fresh": first is not None, "ids": ids}
        await _tell(send, hello | {"preset": (first or b"").decode("latin-1"), "size": [held.rows, held.cols]})
        return await _Looking(services, held, viewer, receive, send).run()
    finally:
        held.leave(viewer)


class _Looking:
    def __init__(self, services: Services, held: Held, viewer: Viewer, receive: Receive, send: Send) -> None:
        self._services = services
        self._held = held
        self._viewer = viewer
        self._receive = receive
        self._send = send

    async def run(self) -> int:
        inward = asyncio.ensure_future(self._inward())
        outward = asyncio.ensure_future(self._outward())
        stopping = asyncio.ensure_future(self._services.stopping.wait())
        try:
            await asyncio.wait((inward, outward, stopping), return_when=asyncio.FIRST_COMPLETED)
            if outward.done():
                return outward.result()
            return GONE if inward.done() else RESTARTS
        finally:
            for task in (inward, outward, stopping):
                task.cancel()
            await asyncio.gather(inward, outward, stopping, return_exceptions=True)

    async def _inward(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return
            data, text = message.get("bytes"), message.get("text")
            if data:
                await self._held.send(self._viewer, data)
            elif text:
                await self._control(text)

    async def _control(self, text: str) -> None:
        try:
            told = _told(text[:MAX_MESSAGE])
        except msgspec.DecodeError:
            return  # of another version
        if told.size is not None:
            self._viewer.rows, self._viewer.cols = Viewer.bounded(*told.size)
            await self._held.take_over(self._viewer)
        if told.drawn is not None:
            self._held.drew(self._viewer, told.drawn)
        if told.end:
            await self._services.compute.terminals.end(self._held)

    async def _outward(self) -> int:
        held, viewer = self._held, self._viewer
        size = (held.rows, held.cols)
        while True:
            viewer.news.clear()
            while data := held.next(viewer):
                await self._send({"type": "websocket.send", "bytes": data})
            if viewer.cut:
                return SLOW
            if (held.rows, held.cols) != size:
                size = (held.rows, held.cols)
                await _tell(self._send, {"kind": "size", "size": list(size)})
            words, viewer.words = viewer.words, []
            for line in words:
                await _tell(self._send, {"kind": "say", "words": line})
            if held.over and viewer.at >= held.replay.end:
                await _tell(self._send, {"kind": "ended", "why": held.over, "exit_code": held.exit_code})
                return GONE
            await viewer.news.wait()


async def _tell(send: Send, message: dict[str, Any]) -> None:
    await send({"type": "websocket.send", "text": msgspec.json.encode(message).decode()})
