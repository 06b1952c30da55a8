"""A TCP connection on one side, a WebSocket on the other; the same on the server and on the client.

Binary messages are bytes, wherever they are cut. WebSockets cannot end one direction alone: the text message `end` says
that nothing more will come from who sends it. Once both have said so, the server closes with 1000; any other end means
that the connection broke, and is passed on as a reset.

A side that does not take what comes stops the reading of the other: at most about a megabyte is held for a connection.
Once a direction has ended, what is left for a side that takes none of it is not kept for ever: `Patience` cuts it off.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Protocol

from dais.wire.websocket import (
    BINARY,
    CLOSE,
    FAILED,
    NORMAL,
    PING,
    PONG,
    PROTOCOL,
    TEXT,
    BrokenFraming,
    Frames,
    Unmask,
    close_payload,
    head,
    read_close,
)

END = b"end"
RESET = "connection-reset"
"""The reason of a close when the connection inside the job broke."""
UNREAD = "unread"
"""The reason of a close when a side did not take what was left for it."""
PING_SECONDS = 25.0
"""How often an idle WebSocket is used, so that what stands between does not forget it, and a dead end is noticed."""
CLOSE_SECONDS = 10.0
"""How long the other may take to answer a close. While it still takes bytes after an orderly end, it is waited for."""

UNREAD_SECONDS = 120.0
"""How long a connection of which a direction has ended waits for a side that takes nothing."""

_reset = struct.pack("ii", 1, 0)


class End(Protocol):
    """The TCP connection's side, as asyncio's transports have it."""

    def write(self, data: bytes | memoryview) -> None: ...
    def write_eof(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Taker(Protocol):
    """A side that is written to."""

    def get_write_buffer_size(self) -> int: ...


class Patience:
    """Watches whether what is left for each side of a connection is taken, from `begin` on.

    `late` is called with the side's name, once, when it has taken nothing for `seconds` (0: it never is).
    """

    def __init__(self, seconds: float, late: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._late = late
        self._given: dict[str, int] = {}
        self._sides: dict[str, Taker] = {}
        self._final = False
        self._timer: asyncio.TimerHandle | None = None

    def give(self, name: str, size: int) -> None:
        """So many bytes were written to a side."""
        self._given[name] = self._given.get(name, 0) + size

    def begin(self, sides: Mapping[str, Taker | None], *, final: bool = False) -> None:
        """From now on these sides are to take what is left; `final`: they are given nothing more."""
        self._sides = {name: side for name, side in sides.items() if side is not None}
        self._final = final
        if self._timer is None and self._seconds:
            self._look({})

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, before: dict[str, int]) -> None:
        left = {name: side.get_write_buffer_size() for name, side in self._sides.items()}
        taken = {name: self._given.get(name, 0) - size for name, size in left.items() if size}
        for name, count in taken.items():
            if count <= before.get(name, count - 1):
                self._late(name)
                return
        if self._final and not taken:
            return
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look, taken)


class Tunnel(asyncio.Protocol):
    """The protocol of the WebSocket's transport, after the handshake; `plain` is the one of the TCP connection's.

    `unmask` makes it the server's side; a client gives `mask`, from which each frame's key comes. `over` holds, once
    all has ended, the code and the reason of the close: (1000, "") where both directions ended in order.

    Once a direction has ended, a side that takes nothing for `unread` seconds ends the rest, and `stuck` is told which:
    `connection` (the TCP connection's) or `websocket`.
    """

    def __init__(
        self,
        *,
        unmask: Unmask | None = None,
        mask: Callable[[bytes], tuple[bytes, bytes]] | None = None,
        note: Callable[[], None] | None = None,
        unread: float = UNREAD_SECONDS,
        stuck: Callable[[str], None] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.plain = Plain(self)
        self.over: asyncio.Future[tuple[int, str]] = loop.create_future()
        self._loop = loop
        self._frames = Frames(unmask)
        self._mask = mask
        self._note = note
        self._stuck = stuck
        self._patience = Patience(unread, self._cut)
        self._transport: asyncio.Transport | None = None
        self._end: End | None = None
        self._ended_here = self._ended_there = False
        self._close_sent = False
        self._stuck_here = self._stuck_there = False
        self._alive = True
        """Whether something came or went since the last ping."""
        self._timer: asyncio.TimerHandle | None = None
        """For the next ping; at the end for the last look."""

    # -- beginning -------------------------------------------------------------------------------------------

    def speak(self, transport: asyncio.Transport) -> None:
        """The WebSocket is there: what the TCP connection brings from now on is sent."""
        self._transport = transport
        self._timer = self._loop.call_later(PING_SECONDS, self._ping)

    def begin(self, end: End, rest: bytes = b"") -> None:
        """The TCP connection is there, too. `rest` has come after the WebSocket's handshake already."""
        assert self._transport is not None
        self._end = end
        if self.over.done():  # the WebSocket has ended meanwhile
            reset(end)
            return
        if self._ended_here:  # before this side was there to be watched
            self._watch()
        if rest:
            self.data_received(rest)
        if not self.over.done():
            if not self._stuck_there:
                end.resume_reading()
            if not self._stuck_here:
                self._transport.resume_reading()

    def _ping(self) -> None:
        """Also what is not answered shows whether there is somebody: the kernel is told when there is not."""
        if not self._alive:
            self._send(PING, b"")
        self._alive = False
        self._timer = self._loop.call_later(PING_SECONDS, self._ping)

    # -- from the WebSocket ----------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Of the transport."""
        self._alive = True
        try:
            for kind, payload in self._frames.feed(data):
                if self.over.done() or self._end is None:
                    return
                if kind == BINARY:
                    if self._ended_there:
                        raise BrokenFraming("bytes after the end")
                    self._patience.give("connection", len(payload))
                    self._end.write(payload)
                else:
                    self._take(kind, bytes(payload))
        except BrokenFraming as error:
            self.close(PROTOCOL, str(error))
        if self._note is not None:
            self._note()

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == TEXT:
            if payload != END or self._ended_there:
                raise BrokenFraming("the only text message is `end`, once")
            self._ended_there = True
            assert self._end is not None
            self._end.write_eof()
            self._watch()
            self._finish_if_over()
        elif kind == PING:
            self._send(PONG, payload)
        elif kind == CLOSE:
            code, reason = read_close(payload)
            if not self._close_sent:
                self._send(CLOSE, payload[:2])
                self._close_sent = True
            self._finish(code, reason)

    def eof_received(self) -> None:
        """Of the transport: a WebSocket ends with a close; this breaks it off."""
        self._finish(1006, "")

    def connection_lost(self, error: Exception | None) -> None:
        """Of the transport."""
        self._finish(1006, "")
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        """Of the transport: the other side of the WebSocket does not take what the connection brings."""
        self._stuck_there = True
        if self._end is not None:
            self._end.pause_reading()

    def resume_writing(self) -> None:
        """Of the transport."""
        self._stuck_there = False
        if self._end is not None and not self.over.done():
            self._end.resume_reading()

    # -- from the TCP connection -----------------------------------------------------------------------------

    def take_plain(self, data: bytes) -> None:
        """Bytes of the connection."""
        self._alive = True
        self._send(BINARY, data)
        if self._note is not None:
            self._note()

    def plain_ended(self) -> None:
        """Nothing more comes from the connection."""
        if not self._ended_here and not self.over.done():
            self._ended_here = True
            self._send(TEXT, END)
            self._watch()
            self._finish_if_over()

    def plain_lost(self, error: Exception | None) -> None:
        """The connection is gone."""
        if not self.over.done():
            self.close(FAILED, RESET)

    def plain_stuck(self, stuck: bool) -> None:
        """Whether the connection's other end takes what is sent."""
        self._stuck_here = stuck
        if self._transport is None or self.over.done():
            return
        if stuck:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # -- ending ----------------------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """End it, and say so to both sides."""
        if not self._close_sent:
            self._close_sent = True
            self._send(CLOSE, close_payload(code, reason))
        self._finish(code, reason)

    def _watch(self, *, final: bool = False) -> None:
        self._patience.begin({"connection": self._end, "websocket": self._transport}, final=final)

    def _cut(self, side: str) -> None:
        """What is left will not be taken: say so, and keep none of it."""
        if self._stuck is not None:
            self._stuck(side)
        self.close(FAILED, UNREAD)
        if self._end is not None:
            reset(self._end)
        if self._transport is not None:
            self._transport.abort()

    def _finish_if_over(self) -> None:
        if self._ended_here and self._ended_there and self._mask is None:
            self.close(NORMAL, "")

    def _finish(self, code: int, reason: str) -> None:
        if self.over.done():
            return
        orderly = self._ended_here and self._ended_there
        self.over.set_result((NORMAL, "") if orderly else (code, reason))
        if self._timer is not None:
            self._timer.cancel()
        if self._end is not None:
            if orderly:
                self._end.close()
            else:
                reset(self._end)
        self._watch(final=True)
        if self._transport is not None:
            self._transport.close()
            self._timer = self._loop.call_later(CLOSE_SECONDS, self._give_up, orderly)

    def _give_up(self, patient: bool) -> None:
        """What an orderly connection brought last may wait for a slow reader."""
        assert self._transport is not None
        if patient and self._transport.get_write_buffer_size():
            self._timer = self._loop.call_later(CLOSE_SECONDS, self._give_up, patient)
        else:
            self._transport.abort()

    def _send(self, kind: int, payload: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._mask is None:
            key = None
        else:
            key, payload = self._mask(payload)
        self._patience.give("websocket", len(payload))
        if len(payload) < 1 << 10:
            self._transport.write(head(kind, len(payload), key) + payload)
        else:
            self._transport.writelines((head(kind, len(payload), key), payload))


class Plain(asyncio.Protocol):
    """The protocol of the TCP connection's transport."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def data_received(self, data: bytes) -> None:
        self._tunnel.take_plain(data)

    def eof_received(self) -> bool:
        self._tunnel.plain_ended()
        return True  # what comes from the WebSocket may still be written

    def connection_lost(self, error: Exception | None) -> None:
        self._tunnel.plain_lost(error)

    def pause_writing(self) -> None:
        self._tunnel.plain_stuck(True)

    def resume_writing(self) -> None:
        self._tunnel.plain_stuck(False)


def reset(end: End) -> None:
    """Break a TCP connection off so that its other end is told, instead of seeing an orderly end."""
    sock = end.get_extra_info("socket") if isinstance(end, asyncio.BaseTransport) else None
    if sock is not None and sock.family != socket.AF_UNIX:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _reset)
        except OSError:
            pass  # it is gone already
    end.abort()
