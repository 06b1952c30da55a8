"""A log that moves to the blob store keeps its cursors: a follower misses nothing and reads nothing twice."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any, cast

import pytest

from dais.compute.logs import Position, Shipped, before, ship
from dais.data import BlobStore
from dais.engines.contract import Engine, Frame, LogChunk
from dais.kit.errors import NotFound
from dais.node.logs import STDOUT, LogWriter, read

pytestmark = pytest.mark.anyio


class Written:
    """The logs of an engine whose container has written a directory, and ended."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    async def logs(self, handle: Any, cursor: str | None, *, limit: int = 1 << 20) -> LogChunk:
        segment, offset = (int(part) for part in (cursor or "0:0").split(":"))
        found, segment, offset = read(self.directory, segment, offset, limit)
        return LogChunk([Frame(*one) for one in found], f"{segment}:{offset}", eof=not found)


async def test_every_live_cursor_holds_in_the_shipped_log(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path / "log"), 1 << 30)
    order = random.Random(7)
    output = b""
    for number in range(400):
        line = f"{number}:".encode() + bytes(order.randrange(256) for _ in range(16)) * order.randrange(1, 4096)
        writer.write(STDOUT, memoryview(line))
        output += line
    writer.close()
    engine = Written(writer.directory)
    blobs = BlobStore(tmp_path / "blobs")
    segments = await ship(cast(Engine, engine), {}, blobs)
    assert len(segments) >= 3, "the log is too small to show anything"

    cursor: str | None = None
    seen = 0
    while not (chunk := await engine.logs({}, cursor)).eof:
        segment, offset = (int(part) for part in chunk.cursor.split(":"))
        seen += sum(len(frame.data) for frame in chunk.frames)
        after = Position(0, False, segment, offset)
        assert _rest(blobs, segments, after) == output[seen:]
        start = before(after, chunk.frames)
        assert (start.segment, start.offset >= 0) == (segment, True)
        assert _rest(blobs, segments, start) == output[seen - sum(len(frame.data) for frame in chunk.frames) :]
        cursor = chunk.cursor
    assert seen == len(output)


async def test_a_log_is_kept_on_a_disk_that_takes_no_uploads(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path / "log"), 1 << 30)
    writer.write(STDOUT, memoryview(b"the last words\n"))
    writer.close()
    blobs = BlobStore(tmp_path / "blobs", reserve=1 << 60)
    segments = await ship(cast(Engine, Written(writer.directory)), {}, blobs)
    assert _rest(blobs, segments, Position(0)) == b"the last words\n"


async def test_a_segment_is_opened_once_for_who_reads_on(tmp_path: Path) -> None:
    writer = LogWriter(str(tmp_path / "log"), 1 << 30)
    for _ in range(3000):
        writer.write(STDOUT, memoryview(os.urandom(4096)))
    writer.close()
    blobs = BlobStore(tmp_path / "blobs")
    segments = await ship(cast(Engine, Written(writer.directory)), {}, blobs)
    shipped = Shipped(blobs, most=6 << 20)
    first = shipped.read(segments, Position(0), 1 << 20)
    for segment in segments:
        blobs.path(segment.digest).unlink()
    _, offset = first.cursor.split(":")
    assert shipped.read(segments, Position(0, False, 0, int(offset)), 1 << 20).frames, "open still"
    assert shipped.read(segments, Position(0), 1 << 20) == first
    assert not shipped.close(), "that was the only one"
    with pytest.raises(NotFound):
        shipped.read(segments, Position(0), 1 << 20)


def _rest(blobs: BlobStore, segments: Any, position: Position) -> bytes:
    found = b""
    shipped = Shipped(blobs)
    while True:
        chunk = shipped.read(segments, position, 1 << 20)
        found += b"".join(frame.data for frame in chunk.frames)
        if chunk.eof:
            return found
        segment, offset = (int(part) for part in chunk.cursor.split(":"))
        assert (segment, offset) != (position.segment, position.offset), "it goes on for ever"
        position = Position(0, False, segment, offset)
