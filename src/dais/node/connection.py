"""One client on the supervisor's socket: buffered, never blocking, cut when it does not read."""

from __future__ import annotations

import socket
import struct

from dais.node.loop import GONE, READ, WRITE
from dais.node.wireframes import Decoder, FrameError, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from dais.node.loop import Loop, Timer

READ_BYTES = 256 << 10
MOST_UNSENT = 64 << 20
LINGER_SECONDS = 30.0
"""What a client may take to close, after it was told that this is over."""


class Connection:
    """Frames in, frames out. `on_frame` and `on_gone` may be replaced once the first frame told who it is."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        on_frame: Callable[[Connection, bytearray], None],
        on_gone: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._decoder = Decoder()
        self._unsent = bytearray()
        self._reading = True
        self._closing = False
        self._lingering = False
        self._patience: Timer | None = None
        self.open = True
        self.speaks_json = True
        self.on_frame = on_frame
        self.on_gone = on_gone
        self.on_drained: Callable[[], None] | None = None
        sock.setblocking(False)
        self._events = READ | GONE
        loop.watch(sock.fileno(), self._events, self._on_event)

    @property
    def unsent(self) -> int:
        """Bytes that the client has not taken yet."""
        return len(self._unsent)

    def send(self, document: Any) -> None:
        """Queue one control frame."""
        self.send_bytes(pack(document))

    def send_bytes(self, data: bytes) -> None:
        """Queue whole frames; a client that leaves too much unread is cut."""
        if not self.open or self._closing:
            return
        self._unsent += data
        if len(self._unsent) > MOST_UNSENT:
            self.close()
            return
        self._flush()

    def send_descriptor(self, document: Any, fd: int) -> None:
        """One control frame, and with it a copy of a descriptor. Nothing else may wait to be sent."""
        try:
            socket.send_fds(self._sock, [pack(document)], [fd])
        except OSError:
            self.close()

    def pause(self) -> None:
        """Read no more from the client for now."""
        self._reading = False
        self._register()

    def resume(self) -> None:
        """Read again, beginning with what was read already."""
        if not self._reading and self.open:
            self._reading = True
            self._register()
            self._deliver()

    def finish(self) -> None:
        """Close as soon as everything is sent."""
        self._closing = True
        if self.open and not self._unsent:
            self.close()

    def end(self) -> None:
        """The same for a client that may be sending: what it sends is dropped, and it closes when it has read.

        To close first would make its sending fail, and it might then not read what was sent to it.
        """
        self._closing = self._lingering = True
        self.on_frame, self.on_drained = _drop, None
        self.resume()
        if self.open and not self._unsent:
            self._end_sending()

    def _end_sending(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._patience = self._loop.later(LINGER_SECONDS, self.close)

    def close(self) -> None:
        """Close now; `on_gone` is told once."""
        if not self.open:
            return
        self.open = False
        if self._patience is not None:
            self._patience.cancel()
        self._loop.unwatch(self._sock.fileno())
        self._sock.close()
        self._unsent.clear()
        self.on_gone(self)

    def _register(self) -> None:
        events = GONE | (READ if self._reading else 0) | (WRITE if self._unsent else 0)
        if self.open and events != self._events:
            self._events = events
            self._loop.change(self._sock.fileno(), events)

    def _on_event(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if self.open and self._reading and events & READ:
            self._receive()
        elif self.open and events & GONE:
            self.close()

    def _receive(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._decoder.feed(data)
        self._deliver()

    def _deliver(self) -> None:
        try:
            while self.open and self._reading and (body := self._decoder.next()) is not None:
                self.on_frame(self, body)
        except FrameError as error:
            if self.speaks_json:
                self.send({"op": "error", "code": "bad-frame", "message": str(error)})
            self.close()

    def _flush(self) -> None:
        had = bool(self._unsent)
        try:
            while self._unsent:
                sent = self._sock.send(memoryview(self._unsent)[: 1 << 20])
                del self._unsent[:sent]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close()
            return
        self._register()
        if had and self._closing and not self._unsent:
            self._end_sending() if self._lingering else self.close()
        elif self.on_drained is not None:
            self.on_drained()


def _drop(_connection: Connection, _body: bytearray) -> None:
    """What comes too late."""


def peer_uid(sock: socket.socket) -> int:
    """The user at the other end of a Unix socket."""
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
