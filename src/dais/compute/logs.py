"""Logs, wherever they are: with the engine while a run lives, in the blob store once it has been shipped.

A cursor is `run:segment:offset`. Segments are at most 4 MiB of frames; a frame is 8 bytes of time (ns), 1 byte of
stream, 4 bytes of length, and the bytes. `offset` counts these encoded bytes, so that a cursor means the same before
and after the log was shipped. A run whose preparation built an environment has that build's output first: its
segments are written `e0`, `e1`, ….
"""

from __future__ import annotations

import asyncio
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from dais.compute.jobs.types import Segment
from dais.data import BlobStore
from dais.engines.contract import SYSTEM, Engine, Frame, Handle, LogChunk
from dais.kit.compression import zstd
from dais.kit.errors import Invalid

SEGMENT_BYTES = 4 << 20
CHUNK_BYTES = 1 << 20
OPEN_BYTES = 32 << 20
"""Bytes of shipped segments that are kept as they were, for who reads on; a larger one is kept alone."""

_header = struct.Struct(">QBI")
_cursor = re.compile(r"(?P<run>\d{1,9}):(?P<build>e?)(?P<segment>\d{1,9}):(?P<offset>\d{1,12})")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a run's log. `build` is True inside the output of its environment's build."""

    run: int
    build: bool = False
    segment: int = 0
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.run}:{'e' if self.build else ''}{self.segment}:{self.offset}"


def parse_cursor(text: str) -> Position:
    """Raises Invalid `bad-cursor`."""
    found = _cursor.fullmatch(text)
    if found is None:
        raise Invalid(f"log cursor {text[:80]!r} is not `run:segment:offset`; start without one", code="bad-cursor")
    return Position(int(found["run"]), bool(found["build"]), int(found["segment"]), int(found["offset"]))


def encode_frames(frames: Sequence[Frame]) -> bytes:
    """Frames as they are stored."""
    return b"".join(_header.pack(f.time_ns, f.stream, len(f.data)) + f.data for f in frames)


def before(position: Position, frames: Sequence[Frame]) -> Position:
    """Where frames begin that end at a position; they are of one segment."""
    return replace(position, offset=position.offset - sum(_header.size + len(frame.data) for frame in frames))


def decode_frames(raw: bytes, offset: int, limit: int) -> tuple[list[Frame], int]:
    """Frames from `offset`, at most about `limit` bytes of them, and where the next one begins."""
    frames: list[Frame] = []
    end = min(len(raw), offset + limit)
    while offset < end and offset + _header.size <= len(raw):
        time_ns, stream, length = _header.unpack_from(raw, offset)
        start = offset + _header.size
        if start + length > len(raw):
            break
        frames.append(Frame(time_ns, stream, raw[start : start + length]))
        offset = start + length
    return frames, offset


async def ship(engine: Engine, handle: Handle, blobs: BlobStore) -> list[Segment]:
    """Copy an ended container's whole log into the blob store, compressed, keeping its cursors' meaning."""
    segments: list[Segment] = []
    buffer = bytearray()
    index = 0
    cursor: str | None = None
    while True:
        chunk = await engine.logs(handle, cursor, limit=CHUNK_BYTES)
        segment = int(chunk.cursor.partition(":")[0])
        if segment != index and buffer:  # these frames are the next segment's already
            segments.append(await asyncio.to_thread(_store, blobs, index, bytes(buffer)))
            buffer.clear()
        index = segment
        buffer += encode_frames(chunk.frames)
        if chunk.eof or (chunk.cursor == cursor and not chunk.frames):
            if buffer:
                segments.append(await asyncio.to_thread(_store, blobs, index, bytes(buffer)))
            return segments
        cursor = chunk.cursor


def _store(blobs: BlobStore, index: int, raw: bytes) -> Segment:
    digest = blobs.put(zstd.compress(raw, 3), reserve=False)  # a job whose log cannot be kept never ends
    return Segment(index, digest, len(raw))


def store_saved(directory: str, blobs: BlobStore) -> list[Segment]:
    """Store a log that a supervisor left in a directory; what is torn at the end of a segment is cut off. Blocking."""
    segments: list[Segment] = []
    for file in sorted(Path(directory).glob("*.seg")):
        raw = file.read_bytes()
        _, end = decode_frames(raw, 0, len(raw))
        if end:
            segments.append(_store(blobs, int(file.stem), raw[:end]))
    return segments


class Shipped:
    """Logs in the blob store. What was read last stays open: a reader takes piece after piece of it."""

    def __init__(self, blobs: BlobStore, most: int = OPEN_BYTES) -> None:
        self._blobs = blobs
        self._most = most
        self._open: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, segments: Sequence[Segment], position: Position, limit: int) -> LogChunk:
        """Frames of a shipped log from a position in it. Blocking; for several threads."""
        last = segments[-1].index if segments else 0
        for segment in segments:
            if segment.index < position.segment:
                continue
            offset = position.offset if segment.index == position.segment else 0
            if offset >= segment.size:
                continue
            frames, after = decode_frames(self._raw(segment), offset, limit)
            eof = segment.index == last and after >= segment.size
            truncated = any(frame.stream == SYSTEM for frame in frames)
            return LogChunk(frames, f"{segment.index}:{after}", eof, truncated)
        return LogChunk([], f"{position.segment}:{position.offset}", True)

    def close(self) -> bool:
        """Let go of the segment that was read longest ago; whether any is open still."""
        with self._lock:
            if self._open:
                self._open.popitem(last=False)
            return bool(self._open)

    def _raw(self, segment: Segment) -> bytes:
        with self._lock:
            raw = self._open.get(segment.digest)
            if raw is not None:
                self._open.move_to_end(segment.digest)
                return raw
        raw = zstd.ZstdDecompressor().decompress(self._blobs.read(segment.digest), segment.size)
        with self._lock:
            self._open[segment.digest] = raw
            while len(self._open) > 1 and sum(map(len, self._open.values())) > self._most:
                self._open.popitem(last=False)
        return raw


async def read_tail(engine: Engine, handle: Handle, *, lines: int) -> str:
    """The last lines of a container's output, as text; for messages."""
    tail = b""
    cursor: str | None = None
    while True:
        chunk = await engine.logs(handle, cursor, limit=CHUNK_BYTES)
        tail = (tail + b"".join(frame.data for frame in chunk.frames))[-64_000:]
        if chunk.eof or (chunk.cursor == cursor and not chunk.frames):
            break
        cursor = chunk.cursor
    return "\n".join(tail.decode(errors="replace").splitlines()[-lines:])


decode_segments = msgspec.json.Decoder(list[Segment]).decode
