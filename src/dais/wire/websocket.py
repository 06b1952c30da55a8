"""WebSocket framing (RFC 6455) for streams of bytes: payloads are passed on in the pieces that they come in.

Libraries hold a message until it is whole; what carries a file, or a connection, need not. Extensions are not spoken.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Iterator

try:
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:  # hashlib has it from OpenSSL, whose start is longer than a command's
    from hashlib import sha1

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NORMAL, GOING_AWAY, PROTOCOL, POLICY, FAILED, RESTART = 1000, 1001, 1002, 1008, 1011, 1012
"""Codes of a close frame: an orderly end, the server stops (1001, 1012), broken framing, not allowed (any more), and a
failure that the reason names."""

MOST_CONTROL = 125
MOST_TEXT = 4 << 10
"""Bytes of a text message, which only say something about the stream."""

Unmask = Callable[[memoryview, bytes], bytes]
"""The bytes under a mask of four bytes that begins with the first of them."""

_guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_no_mask = bytes(4)


class BrokenFraming(Exception):
    """The other side does not keep to the protocol."""


def accept_key(key: str) -> str:
    """What a server answers to a client's `Sec-WebSocket-Key`."""
    digest = sha1(key.encode("latin-1") + _guid, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode("ascii")


def head(opcode: int, size: int, mask: bytes | None = None) -> bytes:
    """What comes before a payload of `size` bytes that is one whole message; clients give a mask."""
    first, marked = 0x80 | opcode, 0 if mask is None else 0x80
    if size < 126:
        packed = struct.pack("!BB", first, marked | size)
    elif size < 1 << 16:
        packed = struct.pack("!BBH", first, marked | 126, size)
    else:
        packed = struct.pack("!BBQ", first, marked | 127, size)
    return packed if mask is None else packed + mask


def close_payload(code: int, reason: str = "") -> bytes:
    """The payload of a close frame; a long reason is cut."""
    return struct.pack("!H", code) + reason.encode()[: MOST_CONTROL - 2].decode("utf-8", "ignore").encode()


def read_close(payload: bytes) -> tuple[int, str]:
    """Code and reason of a close frame; 1005 where it has none."""
    if len(payload) < 2:
        return 1005, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace")


class Frames:
    """Takes a connection's bytes as they come, and gives (kind, payload) of what is in them.

    Of binary messages the payload is a piece, unless `whole`, a number of bytes, says how large one may be; of the
    others it is all. `unmask` makes it a server's, which takes masked frames alone; without it, it is a client's, which
    takes none of them.
    """

    def __init__(self, unmask: Unmask | None, whole: int = 0) -> None:
        self._unmask = unmask
        self._limits = {TEXT: MOST_TEXT, BINARY: whole}
        self._held = b""
        self._left = 0
        self._mask = _no_mask
        self._message: int | None = None
        """The kind of the message that is under way, over several frames perhaps."""
        self._opcode, self._final = BINARY, True
        self._gathered = bytearray()
        self._control = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes | memoryview]]:
        """What these bytes complete. Raises BrokenFraming."""
        if self._held:
            data, self._held = self._held + data, b""
        view, at, end = memoryview(data), 0, len(data)
        while at < end:
            if self._left < 1:
                size = self._begin(view[at : at + 14])
                if not size:
                    self._held = bytes(view[at:])
                    return
                at += size
                if at == end and self._left:
                    return
            piece = view[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            yield from self._piece(piece)

    def _begin(self, view: memoryview) -> int:
        """Read a frame's head; its size, 0 when it is not all there."""
        if len(view) < 2:
            return 0
        first, second = view[0], view[1]
        masked, size, at = bool(second & 0x80), second & 0x7F, 2
        more = {126: 2, 127: 8}.get(size, 0)
        total = 2 + more + (4 if masked else 0)
        if len(view) < total:
            return 0
        if more:
            size = int.from_bytes(view[2 : 2 + more], "big")
            at += more
        self._check(first, masked, size)
        self._mask = bytes(view[at:total]) if masked else _no_mask
        self._opcode, self._final, self._left = first & 0x0F, bool(first & 0x80), size
        return total

    def _check(self, first: int, masked: bool, size: int) -> None:
        opcode, final = first & 0x0F, bool(first & 0x80)
        if first & 0x70:
            raise BrokenFraming("a frame of an extension that was not agreed on")
        if masked != (self._unmask is not None):
            raise BrokenFraming("frames of clients are masked, and of servers not")
        if opcode >= CLOSE:
            if opcode > PONG or not final or size > MOST_CONTROL:
                raise BrokenFraming("a control frame that there cannot be")
            return
        if opcode > BINARY or (opcode == CONTINUATION) != (self._message is not None):
            raise BrokenFraming("a message begins in the midst of another, or goes on without a beginning")
        if size >= 1 << 63:
            raise BrokenFraming("a frame is larger than there can be")
        if opcode != CONTINUATION:
            self._message = opcode
        limit = self._limits[self._message or opcode]
        if limit and size + len(self._gathered) > limit:
            raise BrokenFraming(f"a message of more than {limit:,} bytes")

    def _piece(self, piece: memoryview) -> Iterator[tuple[int, bytes | memoryview]]:
        payload: bytes | memoryview = piece
        if self._mask != _no_mask and piece:
            assert self._unmask is not None
            payload = self._unmask(piece, self._mask)
            turn = len(piece) & 3
            self._mask = self._mask[turn:] + self._mask[:turn]
        over = not self._left
        if self._opcode >= CLOSE:
            self._control += payload
            if over:
                whole, self._control = self._control, b""
                yield self._opcode, whole
            return
        kind = self._message
        assert kind is not None
        over = over and self._final
        if over:
            self._message = None
        if not self._limits[kind]:
            if payload:
                yield kind, payload
        elif over and not self._gathered:
            yield kind, payload
        else:
            self._gathered += payload
            if over:
                gathered, self._gathered = self._gathered, bytearray()
                yield kind, memoryview(gathered)
