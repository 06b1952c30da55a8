"""Frames on the supervisor's socket: a length, then one JSON object (control) or a type byte and bytes (exec)."""

from __future__ import annotations

import struct

from dais.node import lean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

PROTOCOL = 3
"""What is spoken here; `docs/node-protocol.md` tells what came with which number."""
OLDEST = 1
"""What is still understood here, and what is said hello with: each side then knows what the other speaks."""
MAX_FRAME = 16 << 20

_LENGTH = struct.Struct(">I")
_TYPED = struct.Struct(">IB")

# Exec frames, client to supervisor.
STDIN, STDIN_EOF, RESIZE, SIGNAL = 0, 1, 2, 3
# Exec frames, supervisor to client.
READY, OUT, ERR, EXIT = 0, 1, 2, 3


class FrameError(ConnectionError):
    """What came is no frame of this protocol: the connection cannot be read any further."""


def dumps(document: Any) -> bytes:
    """Compact JSON in UTF-8. Lone surrogates, which file names may hold, become `?`."""
    return lean.dumps(document).encode("utf-8", "replace")


def pack(document: Any) -> bytes:
    """One control frame."""
    return pack_body(dumps(document))


def pack_body(body: bytes) -> bytes:
    """One control frame of JSON that is already written."""
    return _LENGTH.pack(len(body)) + body


def pack_typed(kind: int, payload: bytes | bytearray | memoryview) -> bytes:
    """One exec frame; the length counts the type byte."""
    return b"".join((_TYPED.pack(len(payload) + 1, kind), payload))


def parse(body: bytes | bytearray) -> dict[str, Any]:
    """The JSON object of a control frame. Raises FrameError."""
    try:
        document = lean.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise FrameError(f"a frame is a JSON {type(document).__name__}, not an object")
    return document


class Decoder:
    """Cuts a byte stream into frames. Holds at most one unfinished frame."""

    __slots__ = ("_buffer", "_start")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next(self) -> bytearray | None:
        """The next whole frame's body, or None. Raises FrameError for one that is larger than MAX_FRAME."""
        start = self._start
        if len(self._buffer) - start < 4:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer, start)
        if length > MAX_FRAME:
            raise FrameError(f"a frame of {length} bytes is larger than the {MAX_FRAME} that are allowed")
        if len(self._buffer) - start - 4 < length:
            return None
        self._start = start + 4 + length
        return self._buffer[start + 4 : self._start]

    def frames(self) -> Iterator[bytearray]:
        while (frame := self.next()) is not None:
            yield frame
