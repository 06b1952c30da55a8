"""Bodies in chunks, read strictly and without what a chunk may carry beside its bytes."""

from __future__ import annotations

import re

_size_line = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n")
MOST_LINE = 1024
"""Bytes of the line before a chunk, extensions and all, and of each line of a trailer."""
MOST_TRAILER = 16 << 10


class BadChunk(Exception):
    """What came is no body in chunks."""


class Chunks:
    """Reads one body piece by piece. Extensions and trailers are dropped, within limits."""

    __slots__ = ("_held", "_left", "_state", "_trailer", "ended", "rest")

    def __init__(self) -> None:
        self._held = b""
        self._left = 0
        self._state = "size"
        self._trailer = 0
        self.ended = False
        self.rest = b""
        """What came after the body's end."""

    def feed(self, data: bytes) -> list[bytes]:
        """The bytes of the body that are in `data`. Raises BadChunk."""
        found: list[bytes] = []
        if self._held:
            data, self._held = self._held + data, b""
        at, end = 0, len(data)
        while at < end or self._state == "done":
            if self._state == "data":
                piece = data[at : at + self._left] if at or self._left < end else data
                found.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = "end"
            elif self._state == "end":
                if end - at < 2:
                    self._hold(data, at, b"\r")
                    return found
                if data[at : at + 2] != b"\r\n":
                    raise BadChunk("a chunk does not end where it says")
                at += 2
                self._state = "size"
            elif self._state == "size":
                line = _size_line.match(data, at)
                if line is None:
                    self._wait_for_line(data, at)
                    return found
                at = line.end()
                self._left = int(line[1], 16)
                self._state = "data" if self._left else "trailer"
            elif self._state == "trailer":
                at = self._read_trailer(data, at)
                if at < 0:
                    return found
            else:
                self.ended, self.rest = True, data[at:]
                return found
        return found

    def _read_trailer(self, data: bytes, at: int) -> int:
        """Go past one line of the trailer: where the next begins; -1 when it is not all there."""
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            if len(data) - at > MOST_LINE:
                raise BadChunk("a line of the trailer is too long")
            self._held = data[at:]
            return -1
        line = data[at:line_end]
        if b"\r" in line or b"\n" in line or b"\0" in line or len(line) > MOST_LINE:
            raise BadChunk("a line of the trailer is no NAME: VALUE")
        if not line:
            self._state = "done"
        self._trailer += len(line)
        if self._trailer > MOST_TRAILER:
            raise BadChunk("the trailer is too long")
        return line_end + 2

    def _wait_for_line(self, data: bytes, at: int) -> None:
        """The line before a chunk is not all there, or wrong."""
        held = data[at : at + MOST_LINE + 1]
        if len(held) > MOST_LINE or b"\n" in held or (b"\r" in held and not held.endswith(b"\r")):
            raise BadChunk("the size of a chunk is no hexadecimal number")
        if held[0] not in b"0123456789abcdefABCDEF":
            raise BadChunk("the size of a chunk is no hexadecimal number")
        self._held = data[at:]

    def _hold(self, data: bytes, at: int, wanted: bytes) -> None:
        if data[at:] != wanted:
            raise BadChunk("a chunk does not end where it says")
        self._held = data[at:]


def framed(pieces: list[bytes]) -> bytes:
    """Pieces of a body as one chunk."""
    size = sum(map(len, pieces))
    return b"".join((b"%x\r\n" % size, *pieces, b"\r\n")) if size else b""


LAST_CHUNK = b"0\r\n\r\n"
