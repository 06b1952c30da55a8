"""Messages as lines of JSON over what does not block, and the loop that waits for many of them."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import selectors
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    """One connection: a descriptor to read from, and one to write to (of a socket, the same). It closes both.

    `on_line` gets each message, `on_end` is called once when the other side has gone.
    """

    def __init__(
        self,
        loop: Loop,
        fds: tuple[int, int],
        on_line: Callable[[dict[str, Any]], None],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._source, self._target = fds
        self._on_line = on_line
        self._on_end = on_end
        self._in = bytearray()
        self._searched = 0
        self._out = bytearray()
        self._stuck = False
        self.open = True
        for fd in set(fds):
            os.set_blocking(fd, False)
        loop.watch(self._source, selectors.EVENT_READ, self._on_event)

    def send(self, message: dict[str, Any]) -> None:
        """Never waits: what the other side does not read yet is kept, up to a bound; then it is cut off."""
        if not self.open:
            return
        self._out += encode(message)
        if len(self._out) > 2 * MAX_LINE:
            self.close()
        elif not self._stuck:
            self._flush()

    def close(self) -> None:
        if self.open:
            self.open = False
            for fd in {self._source, self._target}:
                self._loop.forget(fd)
                os.close(fd)
            self._on_end()

    def _on_event(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if self.open and events & selectors.EVENT_READ:
            self._read()

    def _flush(self) -> None:
        try:
            while self._out:
                with memoryview(self._out)[:PIECE] as piece:
                    sent = os.write(self._target, piece)
                del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._stuck != bool(self._out):
            self._stuck = bool(self._out)
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        """Be told when more can be written, while something is left."""
        writes = selectors.EVENT_WRITE if self._stuck else 0
        if self._source == self._target:
            self._loop.watch(self._target, selectors.EVENT_READ | writes, self._on_event)
        elif writes:
            self._loop.watch(self._target, writes, self._on_event)
        else:
            self._loop.forget(self._target)

    def _read(self) -> None:
        data = read_ready(self._source)
        if data is None:
            return
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
