"""The client's end: a connection whose requests are for apps, taken over from the API's listener or an app's own.

Everything is done in asyncio's callbacks; a task is made only where something must be waited for: who may, a new
connection to the app. What one side does not take, the other is not asked for: reading is paused, so that memory stays
bounded by the transports' buffers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from dais.kit.errors import Conflict, DaisError, Unauthenticated, Unavailable
from dais.proxy.grants import Grant
from dais.proxy.http.chunks import LAST_CHUNK, BadChunk, Chunks, framed
from dais.proxy.http.exchange import HALF_OPEN_SECONDS, IDLE_SECONDS, LINGER_SECONDS, Exchange
from dais.proxy.http.heads import BadHead, Block, RequestHead, head_end, read_request
from dais.proxy.http.onward import Onward, onward_request
from dais.proxy.http.upstream import Upstream
from dais.proxy.pages import refusal
from dais.wire.tunnel import Patience

if TYPE_CHECKING:
    from dais.compute import Place
    from dais.proxy.proxy import Proxy

HEAD_SECONDS = 30.0
"""What the head of a request may take, from its first byte."""
MOST_HELD = 64 << 10
"""Bytes that are kept of what comes while an exchange is under way."""
MOST_KNOWN = 4
STARTING_SECONDS = 3.0
"""When people are told that an app is being started; programs wait."""
_refused_methods = frozenset((b"CONNECT", b"TRACE"))
RESERVED = b"/.dais/"
"""Paths of an app's origin that are ours."""


class Client(Exchange):
    """One connection."""

    def __init__(
        self, proxy: Proxy, transport: asyncio.Transport, place: Place | None, release: Callable[[], None]
    ) -> None:
        super().__init__(proxy, transport, place, release)
        self._blocks: dict[bytes, Block] = {}
        self._known: dict[bytes, tuple[Onward, Place]] = {}
        proxy.clients.add(self)
        self.deadline = self._now() + HEAD_SECONDS

    # -- what asyncio calls ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._raw:
            assert self._up is not None
            self._up.transport.write(data)
        elif self._lingers:
            return
        elif self._up is not None and (self._left or self._chunks is not None):
            self._send_body(data)
        else:
            if not self._busy and not self._buffer:
                self.deadline = self._now() + HEAD_SECONDS
            self._buffer = self._buffer + data if self._buffer else data
            if not self._busy:
                self._next()
            elif len(self._buffer) > MOST_HELD:
                self._pause(self.transport)

    def eof_received(self) -> bool:
        if self._raw and self._up is not None:
            self._up.transport.write_eof()
            self.deadline = min(self.deadline, self._now() + HALF_OPEN_SECONDS)
            return True
        self._ended = True
        if self._up is not None and (self._left or self._chunks is not None):
            return False  # the rest of the body will not come
        if self._busy and not self._answering:  # it may still listen, or be gone: nobody can tell
            self.deadline = min(self.deadline, self._now() + HALF_OPEN_SECONDS)
        if not self._busy and self._buffer:  # what has come already is still to be answered
            self.proxy.loop.call_soon(self.begin_next)
            return True
        return self._busy

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self.proxy.clients.discard(self)
        self._release()
        if self._task is not None:
            self._task.cancel()
        self._leave_grant()
        up, self._up = self._up, None
        if up is not None:
            if self._raw and exc is None:
                up.client = None
                up.transport.close()
                # What is left is the app's, if it takes it.
                seconds = self.proxy.settings.stall_seconds
                Patience(seconds, lambda _side: self.proxy.unread(up, seconds)).begin({"app": up.transport}, final=True)
            else:
                up.close()

    def pause_writing(self) -> None:
        if self._up is not None:
            self._pause(self._up.transport)
        self._full = True
        self.deadline = self._now() + self.proxy.settings.stall_seconds

    def resume_writing(self) -> None:
        self._full = False
        if self._up is not None:
            self._resume(self._up.transport)
        self.deadline = (
            float("inf") if self._busy else self._now() + (LINGER_SECONDS if self._lingers else IDLE_SECONDS)
        )

    def shutdown(self) -> None:
        """The server stops: what is under way may end."""
        self._stopping = True
        if not self._busy or self._raw:
            self.transport.close()

    # -- what the proxy calls --------------------------------------------------------------------------------

    def expired(self) -> None:
        """The deadline has passed."""
        if self._busy and not self._raw and not self._answering and self._up is not None:
            late = Unavailable("the app has not begun to answer in time", code="app-slow")
            self._answer_now(refusal(late, 504, self._onward))
        elif not self._busy and self._buffer and not self._lingers:
            self._answer_now(refusal(BadHead("the head of the request has not come in time", 408), 408, None))
        else:
            self.transport.abort()

    # -- requests --------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Begin the next request, once its head is there."""
        data = self._buffer
        try:
            end = head_end(data)
            if end < 0:
                if self._ended:
                    self.transport.close()
                return
            head, raw = read_request(data, end, self._blocks)
            self._buffer = data[end:]
            self._busy = True
            self._head = head
            self._left, self._chunks = head.block.length or 0, Chunks() if head.block.chunked else None
            self._keep = head.keep_alive
            self._answering = self._begun = self._retried = False
            known = self._known.get(raw)
            if known is None or head.method != b"GET" or not head.modern:
                known = self._understand(head, raw)
            self._onward = onward = known[0]
            if head.method in _refused_methods:
                raise BadHead(f"{head.method.decode()} is not for apps", 405)
            if not head.target.startswith(b"/"):
                raise BadHead("the target is no path")
        except BadHead as error:
            self._busy = True
            self._answer_now(refusal(error, error.status, None))
            return
        place = known[1]
        if b"dais_" in head.target or b"%" in head.target or head.target.startswith(RESERVED):
            self._run(self._look_closer(head, onward, place))
            return
        self._ask(place)

    def _understand(self, head: RequestHead, raw: bytes) -> tuple[Onward, Place]:
        fields = [(low, value) for low, _, value in head.block.fields]
        callers = self.proxy.callers
        address, secured = callers.address(self._peer, fields), callers.secured(self._peer, fields)
        onward = onward_request(head, address, secured, self._prefix)
        place = self._place or self.proxy.place_of(onward.name)
        if head.method == b"GET" and head.modern:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
                self._blocks.clear()
            self._known[raw] = (onward, place)
            self._blocks[raw] = head.block
        return onward, place

    async def _look_closer(self, head: RequestHead, onward: Onward, place: Place) -> None:
        words = await self.proxy.callers.refuse_address(head.target)
        if words is not None:
            self._answer_now(refusal(Unauthenticated(words, code="token-in-address"), 401, None))
        elif head.target.startswith(RESERVED):
            self._answer_now(await self.proxy.enter(head, onward, place))
        else:
            self._task = None
            self._ask(place)

    def _ask(self, place: Place) -> None:
        onward = self._onward
        assert onward is not None
        grant = self.proxy.grants.fresh((place, onward.bearer, onward.seals), self._now())
        if not self._ended:
            self.deadline = self._now() + self.proxy.settings.answer_seconds
        if grant is None:
            self._run(self._find(place, onward))
        else:
            self._admit(grant)

    async def _find(self, place: Place, onward: Onward) -> None:
        head = self._head
        assert head is not None
        patient = not (onward.html and head.method == b"GET")
        try:
            async with asyncio.timeout(None if patient else STARTING_SECONDS):
                grant = await self.proxy.grants.find(place, onward)
        except TimeoutError:
            starting = Unavailable("the app is being started", code="app-starting")
            self._answer_now(refusal(starting, 503, onward, again=True))
            return
        except DaisError as error:
            self._answer_now(self.proxy.turned_away(error, head, onward, place))
            return
        self._task = None
        self._admit(grant)

    def _admit(self, grant: Grant) -> None:
        head, onward = self._head, self._onward
        assert head is not None
        assert onward is not None
        if grant.by == "cookie" and onward.navigation != "own":
            harmless = onward.navigation == "top" and head.method in (b"GET", b"HEAD")
            if not harmless:
                self._answer_now(self.proxy.foreign(onward))
                return
        self._grant = grant
        grant.clients.add(self)
        self.proxy.activity.note(grant.work.run_id, "connection")
        up = self.proxy.pool.take((grant.work.run_id, grant.port))
        if up is None:
            self._run(self.connect_again(grant))
        else:
            self._send(up)

    async def connect_again(self, grant: Grant) -> None:
        head, onward = self._head, self._onward
        assert head is not None
        assert onward is not None
        try:
            up = await self.proxy.pool.connect(grant.work, grant.port)
        except DaisError as error:
            if isinstance(error, Conflict):
                self.proxy.grants.forget(grant)
            self._answer_now(self.proxy.turned_away(error, head, onward, grant.key[0]))
            return
        self._task = None
        self._send(up)

    def _send(self, up: Upstream) -> None:
        """Send the request to the app: its head, and what has come of its body."""
        head, onward = self._head, self._onward
        assert head is not None
        assert onward is not None
        self._up = up
        up.begin(self)
        parts = [head.method, b" ", head.target, b" HTTP/1.1\r\n", onward.block]
        if self._chunks is not None:
            parts.append(b"Transfer-Encoding: chunked\r\n\r\n")
        elif head.block.length is not None:
            parts.append(b"Content-Length: %d\r\n\r\n" % head.block.length)
        else:
            parts.append(b"\r\n")
        up.transport.write(b"".join(parts))
        self.deadline = self._now() + self.proxy.settings.answer_seconds
        if self._left or self._chunks is not None:
            if onward.expects and not self._buffer:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            data, self._buffer = self._buffer, b""
            if data:
                self._send_body(data)
            if self._ended and (self._left or self._chunks is not None):
                self.transport.abort()
        self._resume(self.transport)

    def _send_body(self, data: bytes) -> None:
        assert self._up is not None
        self.deadline = self._now() + self.proxy.settings.answer_seconds
        if self._chunks is None:
            mine = data[: self._left] if len(data) > self._left else data
            self._left -= len(mine)
            self._up.transport.write(mine)
            self._buffer = data[len(mine) :]
            return
        try:
            pieces = self._chunks.feed(data)
        except BadChunk as error:
            self._up.close()
            self._up = None
            self._answer_now(refusal(BadHead(f"the body is broken: {error}"), 400, self._onward))
            return
        out = framed(pieces)
        if self._chunks.ended:
            self._buffer = self._chunks.rest
            self._chunks = None
            out += LAST_CHUNK
        if out:
            self._up.transport.write(out)

    def begin_next(self) -> None:
        if not self._busy and self._buffer and not self.transport.is_closing():
            self.deadline = self._now() + HEAD_SECONDS
            self._next()
