"""The app's end: a connection to a port of a run, that carries one exchange after the other; and the idle ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from dais.compute import Work
from dais.engines.contract import ByteStream, Detachable
from dais.kit.errors import Unavailable
from dais.proxy.http.adapted import Adapted
from dais.proxy.http.chunks import BadChunk, Chunks
from dais.proxy.http.heads import AnswerHead, BadHead, head_end, read_answer

if TYPE_CHECKING:
    from dais.proxy.http.exchange import Exchange

IDLE_SECONDS = 4.0
"""How long a connection waits for its next exchange: many servers close theirs after five."""
MOST_IDLE = 64
"""Connections to one port that wait."""
MOST_WAITING = 1024
"""Requests that wait for a connection to one port."""
WAIT_SECONDS = 30.0

Key = tuple[str, int]
"""A run and a port."""

(FREE, HEAD, LENGTH, CHUNKED, TO_END, RAW) = range(6)


class Upstream(asyncio.Protocol):
    """One connection to an app. `client` is whose exchange it carries."""

    def __init__(self, pool: Pool, key: Key, stream: ByteStream) -> None:
        self._pool = pool
        self.key = key
        self._stream = stream  # kept: its writer would close the transport when it goes
        self.client: Exchange | None = None
        self.since = 0.0
        """When it became free."""
        self.keeps = True
        self.untouched = True
        """Whether nothing of an answer has come in this exchange."""
        self.used = False
        """Whether it carried an exchange before this one."""
        self._mode = FREE
        self._held = b""
        self._left = 0
        self._chunks: Chunks | None = None
        self.transport: asyncio.Transport = self._transport_of(stream)

    def _transport_of(self, stream: ByteStream) -> asyncio.Transport:
        if not isinstance(stream, Detachable):
            return cast(asyncio.Transport, Adapted(stream, self))
        transport, self._held, ended = stream.detach(self)
        if ended:
            transport.abort()
        else:
            transport.resume_reading()
        return transport

    @property
    def usable(self) -> bool:
        return self._mode == FREE and not self._held and not self.transport.is_closing()

    def begin(self, client: Exchange) -> None:
        """Carry this client's exchange; what is written from now on is its request."""
        self.client = client
        self._mode = HEAD
        self.untouched = True

    def end(self) -> None:
        """The exchange is over: wait for the next, if that is possible."""
        self.client = None
        self._mode = FREE
        self.used = True
        self._chunks = None
        self._pool.give_back(self)

    def close(self) -> None:
        """Let go of it, whatever it carries."""
        self.client = None
        self.transport.abort()

    # -- what asyncio calls ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        client = self.client
        if client is None:
            self.transport.abort()  # an app that speaks when it was not asked
            return
        if self._mode == RAW:
            client.transport.write(data)
            return
        self.untouched = False
        try:
            self._take(client, data)
        except BadHead as error:
            client.app_failed(f"its answer is no HTTP/1.1: {error}")
        except BadChunk as error:
            client.app_failed(f"the body of its answer is broken: {error}")

    def eof_received(self) -> bool:
        if self._mode == RAW and self.client is not None:
            self.client.app_ended_sending()
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        client, self.client = self.client, None
        self._pool.lost(self)
        if client is None:
            return
        if self._mode == TO_END and exc is None:
            client.on_end(reuse=False)
        else:
            client.app_gone(self)

    def pause_writing(self) -> None:
        if self.client is not None:
            self.client.app_is_full(True)

    def resume_writing(self) -> None:
        if self.client is not None:
            self.client.app_is_full(False)

    # -- answers ---------------------------------------------------------------------------------------------

    def _take(self, client: Exchange, data: bytes) -> None:
        mode = self._mode
        if mode == HEAD:
            data = self._take_head(client, data)
            mode = self._mode
            if mode == RAW:
                if data:
                    client.transport.write(data)
                return
            if not data and not (mode == LENGTH and not self._left):
                client.flush()
                return
        if mode == LENGTH:
            size = len(data)
            if size > self._left:
                self.keeps = False  # it says more than it announced
                data = data[: self._left]
                size = self._left
            self._left -= size
            if size:
                client.on_data([data])
            if not self._left:
                client.on_end(reuse=True)
        elif mode == CHUNKED and self._chunks is not None:
            pieces = self._chunks.feed(data)
            if pieces:
                client.on_data(pieces)
            if self._chunks.ended:
                self.keeps = self.keeps and not self._chunks.rest
                client.on_end(reuse=True)
        elif mode == TO_END:
            client.on_data([data])
        client.flush()

    def _take_head(self, client: Exchange, data: bytes) -> bytes:
        """Read heads up to the one of the answer itself; what came after it."""
        start = len(self._held)
        if start:
            data, self._held = self._held + data, b""
        while True:
            end = head_end(data, start)
            if end < 0:
                self._held = data
                return b""
            head = read_answer(data, end)
            data, start = data[end:], 0
            if head.status == 101 or head.status >= 200:
                self._begin_body(client, head)
                return data

    def _begin_body(self, client: Exchange, head: AnswerHead) -> None:
        block = head.block
        self.keeps = head.keep_alive
        if head.status == 101:
            if not client.upgrades:
                raise BadHead("it changes to a protocol that nobody asked for")
            self._mode = RAW
        elif client.bodiless or head.status in (204, 304):
            self._mode, self._left = LENGTH, 0
        elif block.chunked:
            self._mode, self._chunks = CHUNKED, Chunks()
        elif block.length is not None:
            self._mode, self._left = LENGTH, block.length
        else:
            self._mode, self.keeps = TO_END, False
        client.on_answer(head, known=self._mode == LENGTH)


class Pool:
    """The connections to apps. `dial` connects to a port of a run; raises DaisError."""

    def __init__(self, dial: Callable[[Work, int], Awaitable[ByteStream]], most: int) -> None:
        self._dial = dial
        self._most = most
        self._free: dict[Key, list[Upstream]] = {}
        self._open: dict[Key, int] = {}
        self._all: set[Upstream] = set()
        self._waiting: dict[Key, deque[asyncio.Future[None]]] = {}

    def take(self, key: Key) -> Upstream | None:
        """One that is free, the last used first."""
        free = self._free.get(key)
        while free:
            found = free.pop()
            if found.usable:
                return found
            found.close()
        return None

    async def connect(self, work: Work, port: int) -> Upstream:
        """A connection, a new one unless one becomes free first. Raises DaisError, Unavailable `app-busy`."""
        key = (work.run_id, port)
        while self._open.get(key, 0) >= self._most:
            await self._wait(key)
            found = self.take(key)
            if found is not None:
                return found
        self._open[key] = self._open.get(key, 0) + 1
        try:
            stream = await self._dial(work, port)
        except BaseException:
            self._closed(key)
            raise
        made = Upstream(self, key, stream)
        self._all.add(made)
        return made

    async def _wait(self, key: Key) -> None:
        waiting = self._waiting.setdefault(key, deque())
        if len(waiting) >= MOST_WAITING:
            raise _busy(self._most)
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn
        except TimeoutError as error:
            raise _busy(self._most) from error
        finally:
            if turn in waiting:
                waiting.remove(turn)
            if not waiting:
                self._waiting.pop(key, None)

    def give_back(self, one: Upstream) -> None:
        free = self._free.setdefault(one.key, [])
        if not one.keeps or not one.usable or len(free) >= MOST_IDLE:
            one.transport.close()
            return
        one.since = asyncio.get_running_loop().time()
        free.append(one)
        self._next(one.key)

    def lost(self, one: Upstream) -> None:
        self._all.discard(one)
        free = self._free.get(one.key)
        if free is not None:
            if one in free:
                free.remove(one)
            if not free:
                del self._free[one.key]
        self._closed(one.key)

    def _closed(self, key: Key) -> None:
        left = self._open.get(key, 0) - 1
        if left > 0:
            self._open[key] = left
        else:
            self._open.pop(key, None)
        self._next(key)

    def _next(self, key: Key) -> None:
        waiting: Any = self._waiting.get(key, ())
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)
                return

    def sweep(self, now: float) -> None:
        """Close those that have waited long enough."""
        for free in list(self._free.values()):
            for one in [one for one in free if now - one.since > IDLE_SECONDS]:
                free.remove(one)
                one.close()

    def close(self) -> None:
        for one in list(self._all):
            one.close()


def _busy(most: int) -> Unavailable:
    return Unavailable(
        f"all {most} connections to this port of the job are in use, and none became free within {WAIT_SECONDS:g} s; "
        "so many are allowed by DAIS_PROXY_APP_CONNECTIONS (`[proxy] app_connections`)",
        code="app-busy",
        retry_after=1,
    )
