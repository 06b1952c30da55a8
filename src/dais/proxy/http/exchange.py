"""One exchange after the other over a client's connection: what has come of the request, and the answer to it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from dais.kit.errors import Unavailable
from dais.proxy.grants import Grant
from dais.proxy.http.chunks import LAST_CHUNK, Chunks, framed
from dais.proxy.http.heads import AnswerHead, RequestHead
from dais.proxy.http.onward import Onward, onward_answer
from dais.proxy.http.upstream import Upstream
from dais.proxy.pages import Answer, refusal

if TYPE_CHECKING:
    from dais.compute import Place
    from dais.proxy.proxy import Proxy

IDLE_SECONDS = 75.0
LINGER_SECONDS = 2.0
"""For how long what is still sent to a refused request is taken: else the client may see a broken connection."""
HALF_OPEN_SECONDS = 60.0
BUFFERED = 256 << 10
"""Bytes on their way to one side before the other is not read any more."""


class Exchange(asyncio.Protocol, ABC):
    """The answering half of a client's connection; the other is `Client`.

    `place` is what all of it is for, on a port of an app's own; else the hosts say it.
    """

    def __init__(
        self, proxy: Proxy, transport: asyncio.Transport, place: Place | None, release: Callable[[], None]
    ) -> None:
        self.proxy = proxy
        self.transport = transport
        self._place = place
        self._release = release
        self._prefix = proxy.cookie_prefix(place)
        peer = transport.get_extra_info("peername")
        self._peer: str = peer[0] if isinstance(peer, tuple) else ""
        self._buffer = b""
        self.deadline = float("inf")
        self._busy = self._raw = self._lingers = self._stopping = self._lost = self._full = self._ended = False
        self._task: asyncio.Task[None] | None = None
        self._out: list[bytes] = []
        # Of the exchange under way:
        self._head: RequestHead | None = None
        self._onward: Onward | None = None
        self._grant: Grant | None = None
        self._up: Upstream | None = None
        self._left = 0
        self._chunks: Chunks | None = None
        self._answering = self._begun = self._rechunk = self._keep = self._retried = False
        self._held: ExitStack | None = None
        transport.set_write_buffer_limits(BUFFERED)

    def _now(self) -> float:
        return self.proxy.loop.time()

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return not self._busy

    @property
    def bodiless(self) -> bool:
        """Whether the answer has no body, whatever its head says."""
        return self._head is not None and self._head.method == b"HEAD"

    @property
    def upgrades(self) -> bool:
        return self._onward is not None and self._onward.upgrade is not None

    def cut(self) -> None:
        """It may not go on."""
        self.transport.abort()

    @abstractmethod
    def begin_next(self) -> None:
        """Begin the next request, once its head is there."""

    @abstractmethod
    async def connect_again(self, grant: Grant) -> None:
        """Send the request over a new connection to the app."""

    # -- answers: called by the app's end --------------------------------------------------------------------

    def on_answer(self, head: AnswerHead, known: bool) -> None:
        """The head of the answer; `known`: how long its body is can be told from it."""
        request = self._head
        assert request is not None
        assert self._up is not None
        self._answering = True
        self.deadline = float("inf")
        if head.status == 101:
            self._splice(head)
            return
        block = onward_answer(head, self._prefix, upgrade=False)
        self._rechunk = False
        lines = [block]
        length = head.block.length
        if length is not None and not head.block.chunked:
            lines.append(b"Content-Length: %d\r\n" % length)
        elif not known and request.modern:
            self._rechunk = True
            lines.append(b"Transfer-Encoding: chunked\r\n")
        elif not known:
            self._keep = False
        elif self.bodiless or head.status in (204, 304):
            pass
        if self._left or self._chunks is not None or self._stopping:
            self._keep = False  # the answer comes before the request has been sent: nobody knows how it goes on
        if not self._keep:
            lines.append(b"Connection: close\r\n")
        elif not request.modern:
            lines.append(b"Connection: keep-alive\r\n")
        lines.append(b"\r\n")
        self._out += lines

    def on_data(self, pieces: list[bytes]) -> None:
        """Bytes of its body."""
        if self._rechunk:
            self._out.append(framed(pieces))
        else:
            self._out += pieces

    def flush(self) -> None:
        """Send what has gathered."""
        out = self._out
        if out:
            self._out, self._begun = [], True
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def on_end(self, reuse: bool) -> None:
        """The answer is complete."""
        if self._rechunk:
            self._out.append(LAST_CHUNK)
        self.flush()
        up, self._up = self._up, None
        if up is not None:
            if reuse and not self._left and self._chunks is None:
                up.end()
            else:
                up.close()
        self._leave_grant()
        self._done()

    def app_failed(self, words: str) -> None:
        """What the app says is not to be understood."""
        up, self._up = self._up, None
        if up is not None:
            up.close()
        self._no_answer(words)

    def app_gone(self, up: Upstream) -> None:
        """The app has closed the connection in the midst of an exchange."""
        self._up = None
        if self._raw:
            self.transport.close()
            return
        repeatable = self._head is not None and self._head.method in (b"GET", b"HEAD", b"OPTIONS")
        if up.untouched and up.used and repeatable and not self._retried and self._grant is not None and not self._left:
            self._retried = True  # it had closed it before it saw the request
            self._run(self.connect_again(self._grant))
            return
        self._no_answer("it closed the connection before its answer was complete")

    def app_ended_sending(self) -> None:
        """It will say no more over a connection that is not HTTP any longer."""
        if not self.transport.is_closing():
            self.transport.write_eof()
            self.deadline = min(self.deadline, self._now() + HALF_OPEN_SECONDS)

    def app_is_full(self, full: bool) -> None:
        """Whether it takes no more for now."""
        if full:
            self._pause(self.transport)
        else:
            self._resume(self.transport)

    def _no_answer(self, words: str) -> None:
        self._out.clear()
        if self._begun:
            self.transport.abort()  # what the client has is not all, and it must not look as if it were
            return
        error = Unavailable(f"the app did not answer: {words}", code="bad-answer")
        self._answer_now(refusal(error, 502, self._onward))

    def _splice(self, head: AnswerHead) -> None:
        """From here on bytes go both ways as they come."""
        assert self._up is not None
        assert self._grant is not None
        self._raw = True
        self._out.append(onward_answer(head, self._prefix, upgrade=True) + b"\r\n")
        self.flush()
        self._held = ExitStack()
        self._held.enter_context(self.proxy.activity.open(self._grant.work.run_id, "connection"))
        data, self._buffer = self._buffer, b""
        if data:
            self._up.transport.write(data)
        self._resume(self.transport)

    # -- answers of our own ----------------------------------------------------------------------------------

    def _answer_now(self, answer: Answer) -> None:
        """Answer what is under way ourselves."""
        self._task = None
        if self._lost or self.transport.is_closing():
            return
        up, self._up = self._up, None
        if up is not None:
            up.close()
        self._leave_grant()
        whole = self._head is not None and not self._left and self._chunks is None
        keep = self._keep and whole and answer.keep and not self._stopping
        self._keep = keep
        self.transport.write(answer.bytes(keep, self.bodiless))
        self._done()

    def _done(self) -> None:
        """The exchange is over."""
        self._busy = False
        self._head = self._onward = None
        self.deadline = self._now() + (self.proxy.settings.stall_seconds if self._full else IDLE_SECONDS)
        if self._stopping:
            self.transport.close()
        elif not self._keep:
            self._linger()
        else:
            self._resume(self.transport)
            if not self._buffer and self._ended:
                self.transport.close()
            elif self._buffer:
                self.proxy.loop.call_soon(self.begin_next)

    def _linger(self) -> None:
        self._lingers, self._buffer = True, b""
        if not self._full:
            self.deadline = self._now() + LINGER_SECONDS
        if self._ended:
            self.transport.close()
        elif not self.transport.is_closing():
            self._resume(self.transport)
            self.transport.write_eof()

    def _leave_grant(self) -> None:
        grant, self._grant = self._grant, None
        if grant is not None:
            grant.clients.discard(self)
            self.proxy.activity.note(grant.work.run_id, "connection")
        if self._held is not None:
            self._held.close()
            self._held = None

    def _run(self, waits: Coroutine[Any, Any, None]) -> None:
        """Wait for something; meanwhile nothing more is read than is kept."""
        self._task = self.proxy.loop.create_task(self._guarded(waits))

    async def _guarded(self, waits: Coroutine[Any, Any, None]) -> None:
        try:
            await waits
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.proxy.unexpected(error)
            if not self._answering:
                self._answer_now(refusal(error, 500, self._onward))
            else:
                self.transport.abort()

    @staticmethod
    def _pause(transport: asyncio.Transport) -> None:
        if not transport.is_closing() and transport.is_reading():
            transport.pause_reading()

    @staticmethod
    def _resume(transport: asyncio.Transport) -> None:
        if not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()
