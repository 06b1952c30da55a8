"""What the node supervisor says, as structs, and frames to and from its socket (see docs/node-protocol.md)."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import msgspec

from dais.node import MAX_FRAME
from dais.node.streams import read_body
from dais.node.wireframes import FrameError

_length = struct.Struct(">I")
_typed = struct.Struct(">IB")


class Record(msgspec.Struct, frozen=True):
    """A start or an end. Numbered, and repeated until it is acknowledged."""

    seq: int
    attempt_id: str
    kind: str
    at: int
    pid: int | None = None
    isolation: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    reason: str | None = None
    stop_reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    memory_peak: int | None = None
    cpu_seconds: float | None = None
    log_bytes: int = 0
    log_truncated: bool = False
    detail: str | None = None


class Used(msgspec.Struct, frozen=True):
    """What one running attempt uses."""

    memory: int | None = None
    memory_peak: int | None = None
    cpu_seconds: float | None = None
    pids: int | None = None


class Message(msgspec.Struct, frozen=True):
    """Any control frame from the supervisor: `op` says which fields matter."""

    op: str
    protocol: int = 0
    incarnation: str = ""
    pid: int = 0
    isolation: dict[str, Any] = {}
    attempts: dict[str, str] = {}
    queued: tuple[str, ...] = ()
    backfills: bool = False
    records: tuple[Record, ...] = ()
    usage: dict[str, Used] = {}
    message: str = ""
    system: str | None = None
    python: str | None = None


_messages = msgspec.json.Decoder(Message)


def pack(document: Any) -> bytes:
    """One control frame. Raises FrameError for one that is too large."""
    return pack_body(msgspec.json.encode(document))


def pack_body(body: bytes) -> bytes:
    if len(body) > MAX_FRAME:
        raise FrameError(f"a frame of {len(body)} bytes is larger than the {MAX_FRAME} that are allowed")
    return _length.pack(len(body)) + body


def pack_typed(kind: int, payload: bytes) -> bytes:
    """One frame of an exec connection; the length counts the type."""
    return _typed.pack(len(payload) + 1, kind) + payload


async def read_message(reader: asyncio.StreamReader) -> Message | None:
    """The next control frame; None at the end of the connection. Raises FrameError."""
    body = await read_body(reader)
    if body is None:
        return None
    try:
        return _messages.decode(body)
    except msgspec.DecodeError as error:
        raise FrameError(f"the node supervisor sent what is not understood: {error}") from error
