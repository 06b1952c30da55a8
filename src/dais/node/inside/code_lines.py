"""Messages as lines of JSON over a socket that does not block, and the loop that waits for many of them."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import selectors
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

MAX_LINE = 24 << 20
"""Bytes of one message. What is longer ends the connection that it came over."""
PIECE = 256 << 10


def encode(message: dict[str, Any]) -> bytes:
    """One message as a line. Lone surrogates are replaced: they are no text to anybody else."""
    text = json.dumps(message, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace") + b"\n"


class Loop:
    """What is waited for: descriptors, and moments."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._dead: set[int] = set()

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        try:
            self._selector.modify(fd, events, callback)
        except KeyError:
            self._selector.register(fd, events, callback)

    def forget(self, fd: int) -> None:
        try:
            self._selector.unregister(fd)
        except (KeyError, ValueError):
            pass

    def later(self, seconds: float, callback: Callable[[], None]) -> int:
        """Call it once after so many seconds; the number cancels it."""
        number = next(self._numbers)
        heapq.heappush(self._timers, (time.monotonic() + seconds, number, callback))
        return number

    def cancel(self, number: int | None) -> None:
        if number is not None and any(timer[1] == number for timer in self._timers):
            self._timers = [timer for timer in self._timers if timer[1] != number]
            heapq.heapify(self._timers)

    def turn(self) -> None:
        """Wait for the next thing, and do it."""
        wait = max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None
        for key, events in self._selector.select(wait):
            if self._selector.get_map().get(key.fd) is key:  # an earlier one may have ended it
                key.data(events)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()


class Lines:
    """One connection. `on_line` gets each message, `on_end` is called once when the other side has gone."""

    def __init__(
        self, loop: Loop, sock: socket.socket, on_line: Callable[[dict[str, Any]], None], on_end: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._sock = sock
        self._on_line = on_line
        self._on_end = on_end
        self._in = bytearray()
        self._searched = 0
        self._out = bytearray()
        self.open = True
        loop.watch(sock.fileno(), selectors.EVENT_READ, self._on_event)

    def send(self, message: dict[str, Any]) -> None:
        """Never waits: what the other side does not read yet is kept, up to a bound; then it is cut off."""
        if not self.open:
            return
        self._out += encode(message)
        if len(self._out) > 2 * MAX_LINE:
            self.close()
            return
        self._flush()

    def close(self) -> None:
        if self.open:
            self.open = False
            self._loop.forget(self._sock.fileno())
            self._sock.close()
            self._on_end()

    def read_now(self) -> None:
        """Take what has come already."""
        if self.open:
            self._read()

    def _on_event(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if self.open and events & selectors.EVENT_READ:
            self._read()

    def _flush(self) -> None:
        try:
            while self._out:
                with memoryview(self._out)[:PIECE] as piece:
                    sent = self._sock.send(piece)
                del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        self._loop.watch(self._sock.fileno(), events, self._on_event)

    def _read(self) -> None:
        try:
            data = self._sock.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._in += data
        while self.open:
            end = self._in.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._in)
                if len(self._in) > MAX_LINE:
                    self.close()
                return
            line = bytes(self._in[:end])
            del self._in[: end + 1]
            self._searched = 0
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                continue  # whoever writes nonsense is not answered
            if isinstance(message, dict):
                self._on_line(message)


def read_ready(fd: int, limit: int = PIECE) -> bytes | None:
    """What a pipe that does not block holds now; None while it holds nothing, b"" at its end."""
    try:
        return os.read(fd, limit)
    except BlockingIOError:
        return None
    except OSError:
        return b""
