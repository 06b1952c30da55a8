"""Heads of requests and answers, read strictly: what two programs could read in two ways is refused (RFC 9112).

No folded lines, no bare CR or LF, no space before a colon, one Host, one length at most and none beside chunks. What
goes on is written anew from what was understood; nothing is passed on as it came but the values of fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MOST_HEAD = 64 << 10
"""Bytes of a head, request or answer."""
MOST_FIELDS = 200

_request_line = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]{1,16384}) HTTP/1\.([01])\r\n")
_status_line = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_fields = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n")
_field = re.compile(rb"([^:\r\n]+):[ \t]*([^\r\n]*)\r\n")
_length = re.compile(rb"[0-9]{1,18}")

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
"""Fields that are about one connection, and never go on."""


class BadHead(Exception):
    """A head that is refused. `status` is the answer's, where it is a request."""

    def __init__(self, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.status = status


Fields = tuple[tuple[bytes, bytes, bytes], ...]
"""Name in lower case, name as it was sent, value without spaces around it."""


@dataclass(slots=True)
class Block:
    """The fields of a head. `length` is None where nothing is said; `hop` are the names that do not go on."""

    fields: Fields
    length: int | None
    chunked: bool
    connection: frozenset[bytes]
    hop: frozenset[bytes]

    def get(self, name: bytes) -> bytes | None:
        """The value of the first field of that name."""
        for low, _, value in self.fields:
            if low == name:
                return value
        return None

    def all(self, name: bytes) -> list[bytes]:
        return [value for low, _, value in self.fields if low == name]


@dataclass(slots=True)
class RequestHead:
    """A request without its body. `block` may be shared with other requests of the same connection."""

    method: bytes
    target: bytes
    modern: bool
    """Whether it is HTTP/1.1, not 1.0."""
    block: Block
    end: int
    """Where its body begins."""

    @property
    def keep_alive(self) -> bool:
        words = self.block.connection
        return b"close" not in words if self.modern else b"keep-alive" in words

    @property
    def upgrade(self) -> bytes | None:
        """What the connection is to become, if the request asks for that."""
        if self.modern and b"upgrade" in self.block.connection:
            return self.block.get(b"upgrade")
        return None


@dataclass(slots=True)
class AnswerHead:
    """An answer without its body."""

    status: int
    reason: bytes
    modern: bool
    """Whether it is HTTP/1.1, not 1.0."""
    block: Block
    end: int

    @property
    def keep_alive(self) -> bool:
        words = self.block.connection
        return b"close" not in words if self.modern else b"keep-alive" in words


def head_end(data: bytes | bytearray, start: int = 0) -> int:
    """Where the head ends, with its empty line; -1 while it is not all there. Raises BadHead when it is too long."""
    at = data.find(b"\r\n\r\n", max(0, start - 3))
    if at < 0:
        if len(data) > MOST_HEAD:
            raise BadHead(f"the head has more than {MOST_HEAD:,} bytes", 431)
        return -1
    if at + 4 > MOST_HEAD:
        raise BadHead(f"the head has more than {MOST_HEAD:,} bytes", 431)
    return at + 4


def read_request(data: bytes, end: int, known: Mapping[bytes, Block] | None = None) -> tuple[RequestHead, bytes]:
    """The head that `data` begins with, and the bytes of its fields; `known` are blocks read before. Raises BadHead."""
    line = _request_line.match(data, 0, end)
    if line is None:
        raise BadHead("the first line is no METHOD TARGET HTTP/1.1")
    method, target, minor = line.groups()
    raw = data[line.end() : end]
    block = known.get(raw) if known else None
    if block is None:
        block = _read_block(raw)
    if block.chunked and minor == b"0":
        raise BadHead("HTTP/1.0 knows no chunks")
    return RequestHead(method, target, minor == b"1", block, end), raw


def read_answer(data: bytes, end: int) -> AnswerHead:
    """The head of an answer that `data` begins with. Raises BadHead."""
    line = _status_line.match(data, 0, end)
    if line is None:
        raise BadHead("its first line is no HTTP/1.1 STATUS")
    minor, status, reason = line.groups()
    block = _read_block(data[line.end() : end])
    return AnswerHead(int(status), reason or b"", minor == b"1", block, end)


def _read_block(raw: bytes) -> Block:
    if _fields.fullmatch(raw) is None:
        raise BadHead("a line of the head is no NAME: VALUE (folded lines and bare line ends are refused)")
    pairs = _field.findall(raw)
    if len(pairs) > MOST_FIELDS:
        raise BadHead(f"the head has more than {MOST_FIELDS} fields", 431)
    fields = tuple([(name.lower(), name, value.rstrip(b" \t")) for name, value in pairs])
    length: int | None = None
    chunked = False
    connection: frozenset[bytes] = frozenset()
    for low, _, value in fields:
        if low == b"content-length":
            if length is not None or _length.fullmatch(value) is None:
                raise BadHead("Content-Length is not one whole number")
            length = int(value)
        elif low == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise BadHead("Transfer-Encoding is not chunked alone")
            chunked = True
        elif low == b"connection":
            connection |= {word.strip().lower() for word in value.split(b",")}
    if chunked and length is not None:
        raise BadHead("there are both Content-Length and Transfer-Encoding")
    return Block(fields, length, chunked, connection, HOP_BY_HOP | connection)
