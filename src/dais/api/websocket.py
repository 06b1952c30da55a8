"""uvicorn's WebSockets, as Dais needs them: a slow reader is no dead one, and streams have the connection itself.

A route that is not about messages takes the connection with `take` instead of accepting it: from then on a protocol of
its own gets what comes, and neither a task nor a queue stands between.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from dais.api.taking import TAKE
from dais.wire.websocket import FAILED, POLICY, RESTART


class Bytes(Protocol):
    """A protocol of asyncio that can be told to end, twice too, with a code and a reason of WebSockets."""

    def data_received(self, data: bytes) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class WebSocket(WebSocketsSansIOProtocol):
    """One connection."""

    taken: Bytes | None = None

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope["extensions"][TAKE] = {"take": self.take}

    def take(self, taker: Bytes) -> asyncio.Transport:
        """Accept, and give the connection to `taker`, its reading paused. Raises ConnectionError when it is gone."""
        if self.disconnected or self.transport.is_closing():
            raise ConnectionResetError("the WebSocket is gone")
        for name in ("Date", "Server"):
            if name in self.response.headers:
                del self.response.headers[name]
        self.conn.send_response(self.response)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.handshake_complete = True
        self.transport.pause_reading()
        self.transport.set_protocol(cast(asyncio.Protocol, taker))
        self.taken = taker
        return self.transport

    async def run_asgi(self) -> None:
        """Of uvicorn: what was taken ends with its route at the latest."""
        await super().run_asgi()
        if self.taken is not None:
            self.taken.close(FAILED, "")
            self.connections.discard(self)

    def shutdown(self) -> None:
        """Of uvicorn: the server stops."""
        if self.taken is None:
            super().shutdown()
        else:
            self.taken.close(RESTART, "stopping")

    async def send(self, message: Any) -> None:
        """A connection that was taken can only be closed."""
        if self.taken is None:
            await super().send(message)
            self.handshake_complete = self.handshake_complete or self.close_sent  # refused, which is an answer, too
        elif message["type"] == "websocket.close":
            self.taken.close(message.get("code", POLICY), message.get("reason", ""))

    def keepalive_timeout(self) -> None:
        """Whoever cannot be heard because nothing is read has not fallen silent."""
        if not self.read_paused:
            super().keepalive_timeout()
            return
        self.pong_timer = None
        self.pending_ping_payload = None
        self.schedule_ping()
