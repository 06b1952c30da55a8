"""What a container prints: read in bounded chunks, one per descriptor and turn, and appended to its log."""

from __future__ import annotations

import os

from dais.node.loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from dais.node.logs import LogWriter
    from dais.node.loop import Loop

CHUNK = 64 << 10
_buffer = memoryview(bytearray(CHUNK))


class Output:
    """The reading ends of one container's pipes or terminal."""

    def __init__(
        self, loop: Loop, writer: LogWriter, sources: list[tuple[int, int]], on_closed: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._writer = writer
        self._open = set()
        self._on_closed = on_closed
        for fd, stream in sources:
            self._open.add(fd)
            loop.watch(fd, READ, self._handler(fd, stream))

    @property
    def closed(self) -> bool:
        return not self._open

    def close(self) -> None:
        """Stop reading; what is still unread is lost."""
        for fd in list(self._open):
            self._close(fd)
        self._writer.close()

    def _handler(self, fd: int, stream: int) -> Callable[[int], None]:
        return lambda _events: self._on_readable(fd, stream)

    def _on_readable(self, fd: int, stream: int) -> None:
        try:
            count = os.readv(fd, (_buffer,))
        except BlockingIOError:
            return
        except OSError:  # a terminal whose other side is closed says EIO
            count = 0
        if count:
            self._writer.write(stream, _buffer[:count])
            return
        self._close(fd)
        if not self._open:
            self._writer.close()
            self._on_closed()

    def _close(self, fd: int) -> None:
        self._open.discard(fd)
        self._loop.unwatch(fd)
        os.close(fd)
