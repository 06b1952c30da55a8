"""Reading what a container has printed, from a directory in which the job itself can write."""

from __future__ import annotations

import asyncio
import logging

from dais.engines.contract import Frame, LogChunk, Phase, Status
from dais.node import end, read

_log = logging.getLogger(__name__)

_segment_bytes = 4 << 20


async def read_log(directory: str, cursor: str | None, limit: int, allowed: int, status: Status) -> LogChunk:
    """As the contract's `logs`. What lies beyond the allowed bytes was written by the job itself, and is no output."""
    segment, offset = read_cursor(cursor)
    over = status.phase in (Phase.ENDED, Phase.LOST)
    # A segment of real output is more than half full, unless it is the last one.
    last = 2 * allowed // _segment_bytes + 1
    frames: list[Frame] = []
    if segment <= last and offset <= _segment_bytes:
        try:
            found, segment, offset = await asyncio.to_thread(read, directory, segment, offset, limit)
            frames = [Frame(at, stream, data) for at, stream, data in found]
        except OSError as error:  # the job has put something else there: it has no output then, and still an end
            _log.info("the output in %s cannot be read: %s", directory, error)
    return LogChunk(frames, f"{segment}:{offset}", eof=over and not frames, truncated=status.log_truncated)


async def log_end(directory: str) -> str:
    try:
        segment, offset = await asyncio.to_thread(end, directory)
    except OSError:
        segment, offset = 0, 0
    return f"{segment}:{offset}"


def read_cursor(cursor: str | None) -> tuple[int, int]:
    """Raises ValueError for what is no cursor."""
    if cursor is None:
        return 0, 0
    segment, _, offset = cursor.partition(":")
    if not (cursor.isascii() and segment.isdecimal() and offset.isdecimal()):
        raise ValueError(f"{cursor!r} is no log cursor; use one that logs() gave, or None for the beginning")
    return int(segment), int(offset)
