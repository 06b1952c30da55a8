"""Connections that do not stay with the ASGI application: by its first line and its host a request may be another's.

One listener serves all. What a connection sends is parsed by uvicorn as ever; once the head of a request is there, the
takers are asked whether they want it. One that does gets the connection, transport and all, for the rest of its life,
beginning with the very bytes of that head. Between two requests of one connection that is possible at any time, for
proxies before Dais send requests for many hosts through one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

TAKE = "dais.take"
"""The extension's name in the scope of a WebSocket whose connection can be taken."""

MOST_HEAD = 64 << 10
"""Bytes of a head that may still be given to a taker."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A connection whose next request has come. `data` begins with that request's first byte and holds all its head.

    `release` must be called when the connection is lost: until then a server that stops waits for it.
    """

    transport: asyncio.Transport
    data: bytes
    release: Callable[[], None]


class Taken(Protocol):
    """What serves a connection from then on: an `asyncio.Protocol` that can also be told that the server stops.

    It is given the transport with the offer; `connection_made` is not called.
    """

    def data_received(self, data: bytes) -> None: ...

    def shutdown(self) -> None:
        """The server stops: end what has ended, and close. What does not close is cut after a while."""
        ...


class Taker(Protocol):
    """Somebody who may want connections."""

    def wants(self, target: bytes, hosts: Sequence[bytes]) -> bool:
        """Whether a request is its own, by the target as it was sent and every Host header that there was."""
        ...

    def take(self, offer: Offer) -> Taken:
        """Take the connection over. What was received is given to the protocol by the caller."""
        ...


class _Stop(Exception):
    """Ends the parsing of a connection that has been taken."""


class Doorway(HttpToolsProtocol):
    """uvicorn's protocol with takers before it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        takers: Sequence[Taker] = (),
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._takers = takers
        self._taker: Taker | None = None
        self._between = True
        self._fresh = False
        self._head: bytes | None = None
        """What has come of the head that is being received; None: it began in the midst of something."""

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._between:
            cycle: Any = self.cycle  # None before the first request, whatever its annotation says
            idle = cycle is None or cycle.response_complete
            self._head, self._fresh = (data, True) if idle else (None, False)
        elif self._head is not None:
            self._head = self._head + data if len(self._head) < MOST_HEAD else None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            if self._taker is not None and self._head is not None:
                self._give(self._taker, self._head)
                return
            message = "Invalid HTTP request received."
            self.logger.warning(message)
            self.send_400_response(message)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._unsupported_upgrade_warning()

    def on_message_begin(self) -> None:
        if not self._fresh:
            self._head = None
        self._between = self._fresh = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        taker = self._wanted()
        if taker is None:
            self._head = None
            super().on_headers_complete()
        elif self._head is not None:
            self._taker = taker
            raise _Stop
        else:
            application, self.app = self.app, _misdirected
            try:
                super().on_headers_complete()
            finally:
                self.app = application

    def on_message_complete(self) -> None:
        self._between = True
        super().on_message_complete()

    def _wanted(self) -> Taker | None:
        if not self._takers:
            return None
        hosts = [value for name, value in self.headers if name == b"host"]
        return next((taker for taker in self._takers if taker.wants(self.url, hosts)), None)

    def _give(self, taker: Taker, data: bytes) -> None:
        self.flow.resume_reading()
        transport, connections = self.transport, self.connections
        connections.discard(self)

        def release() -> None:
            connections.discard(taken)

        taken: Any = taker.take(Offer(transport, data, release))
        connections.add(taken)
        transport.set_protocol(taken)
        taken.data_received(data)


async def _misdirected(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """A request for another host that was sent without waiting for the answer to the one before."""
    head = [(b"content-type", b"text/plain"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 421, "headers": head})
    await send({"type": "http.response.body", "body": b"send this on a connection of its own\n"})
