"""Bytes between a client and a command's pipes, without blocking and with back-pressure."""

from __future__ import annotations

import os

from dais.node.loop import READ, WRITE
from dais.node.output import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dais.node.loop import Loop

_buffer = memoryview(bytearray(CHUNK))


class Source:
    """A descriptor that is read. `take` gets each chunk and answers whether it wants more for now."""

    def __init__(self, loop: Loop, fd: int, take: Callable[[memoryview], bool], on_end: Callable[[], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._take = take
        self._on_end = on_end
        self._watched = False
        os.set_blocking(fd, False)

    @property
    def open(self) -> bool:
        return self._fd >= 0

    def watch(self, wanted: bool) -> None:
        """Read when there is something, or leave it be."""
        if self._fd < 0 or wanted == self._watched:
            return
        self._watched = wanted
        if wanted:
            self._loop.watch(self._fd, READ, lambda _events: self._on_readable())
        else:
            # Not a registration without events: that would still tell a hang-up, again and again.
            self._loop.unwatch(self._fd)

    def drain(self, chunks: int) -> bool:
        """Read what is there now, at most so many chunks; False if the taker wants no more for now."""
        for _ in range(chunks):
            if self._fd < 0 or (count := self._read()) is None:
                break
            if count and not self._take(_buffer[:count]):
                return False
        return True

    def close(self) -> None:
        if self._fd >= 0:
            self.watch(False)
            os.close(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        count = self._read()
        if count and not self._take(_buffer[:count]):
            self.watch(False)

    def _read(self) -> int | None:
        """Bytes read into the buffer; 0 at the end (and closed), None when there is nothing now."""
        try:
            count = os.readv(self._fd, (_buffer,))
        except BlockingIOError:
            return None
        except OSError:  # a terminal whose other side is closed
            count = 0
        if not count:
            self.close()
            self._on_end()
        return count


class Sink:
    """A descriptor that is written; `on_room` is called when it has taken (or will never take) what waited."""

    def __init__(self, loop: Loop, fd: int, on_room: Callable[[], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._on_room = on_room
        self._unsent = bytearray()
        self._ended = False
        self._watched = False
        os.set_blocking(fd, False)

    @property
    def unsent(self) -> int:
        return len(self._unsent)

    def write(self, data: memoryview | bytes) -> None:
        """Queue bytes; after the end, or once the reader has gone, they are dropped."""
        if self._fd >= 0 and not self._ended:
            self._unsent += data
            self._flush()

    def end(self) -> None:
        """Close once everything is written."""
        self._ended = True
        self._flush()

    def close(self) -> None:
        self._unsent.clear()
        if self._fd >= 0:
            if self._watched:
                self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _flush(self) -> None:
        if self._fd < 0:
            return
        try:
            while self._unsent:
                done = os.write(self._fd, self._unsent[:CHUNK])
                del self._unsent[:done]
        except BlockingIOError:
            pass
        except OSError:  # it reads no more
            self.close()
            return
        if self._ended and not self._unsent:
            self.close()
        elif bool(self._unsent) != self._watched:
            self._watched = bool(self._unsent)
            if self._watched:
                self._loop.watch(self._fd, WRITE, lambda _events: self._on_writable())
            else:
                self._loop.unwatch(self._fd)

    def _on_writable(self) -> None:
        self._flush()
        self._on_room()
