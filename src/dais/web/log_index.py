"""Where the lines of a run's log are, so that any of a million is found by reading a block of it.

An index is made by going through the log once, as far as it is there, and grows with it. It holds a mark for about
every 256 KiB: the number of the line there, its place, and what the streams had begun. It lives in memory and is made
again when it is needed after a restart: a million lines take about half a second.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, replace

from dais.compute import JobLog, Logbook, Position, Slice
from dais.engines.contract import FRAME_HEAD, Frame
from dais.web.ansi import without_sequences
from dais.web.lines import Line, LineWriter

BLOCK_BYTES = 256 << 10
MAX_MARKS = 40_000
"""Marks that all indexes together keep: of about 10 GiB of logs."""
MAX_INDEXES = 256
SEARCH_BYTES = 24 << 20
"""What one search goes through before it answers; the next goes on from there."""
MAX_MATCHES = 2_000


@dataclass(frozen=True, slots=True)
class _Mark:
    line: int
    time_ns: int
    position: Position
    writer: LineWriter


@dataclass(frozen=True, slots=True)
class Found:
    """The numbers of lines that a text is in, and from which line on to look for more (None: that is all)."""

    lines: list[int]
    after: int | None


class LogIndex:
    """The lines of one run, or of one stream of it. Lines are counted from 0; `over`: no more will come."""

    def __init__(self, book: Logbook, run: int, stream: int | None) -> None:
        self._book = book
        self._run = run
        self._stream = stream
        self._position = Position(run)
        self._writer = LineWriter()
        self._lock = asyncio.Lock()
        self._filling: asyncio.Task[None] | None = None
        self._bytes = 0
        self._rest: list[Line] = []
        self.marks = [_Mark(0, 0, self._position, LineWriter())]
        self.total = 0
        self.over = False

    def open(self) -> list[Line]:
        """The lines that are not complete."""
        return self._writer.open()

    async def extend(self, log: JobLog, seconds: float | None = None) -> bool:
        """Go through what came since the last time; whether all of it was within `seconds`. The rest goes on by itself.

        Raises what reading the log raises.
        """
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill(log))
        task = self._filling
        await asyncio.wait((task,), timeout=seconds)
        if not task.done():
            return False
        task.result()
        return True

    async def _fill(self, log: JobLog) -> None:
        async with self._lock:
            while not self.over:
                part = await self._book.read(log, self._position)
                mine = part.start.run == self._run
                if part.frames and mine:
                    await asyncio.to_thread(self._take, part)
                if not mine or part.position.run != self._run or part.eof:
                    self._end()
                    return
                self._position = part.position
                if not part.frames:
                    return

    def _end(self) -> None:
        """Nothing follows: what was open stays as it is, and counts."""
        self._rest = self._writer.open()
        self.total += len(self._rest)
        self._writer = LineWriter()
        self.over = True

    def _take(self, part: Slice) -> None:
        """Count the lines of a part, and mark where blocks begin."""
        batch: list[Frame] = []
        size = offset = 0
        for frame in part.frames:
            if self._bytes + size >= BLOCK_BYTES and offset:
                self._count(batch)
                place = replace(part.start, offset=part.start.offset + offset)
                self.marks.append(_Mark(self.total, frame.time_ns, place, self._writer.copy()))
                self._bytes, size, batch = 0, 0, []
            batch.append(frame)
            size += len(frame.data)
            offset += FRAME_HEAD + len(frame.data)
        self._count(batch)
        self._bytes += size

    def _count(self, frames: list[Frame]) -> None:
        self.total += self._writer.skip(self._wanted(frames))

    def _wanted(self, frames: list[Frame]) -> list[Frame]:
        return frames if self._stream is None else [frame for frame in frames if frame.stream == self._stream]

    async def lines(self, log: JobLog, first: int, count: int) -> list[Line]:
        """The lines from `first` on that are complete, at most `count`."""
        count = min(count, self.total - first)
        found: list[Line] = []
        at = bisect_right(self.marks, first, key=lambda mark: mark.line) - 1
        mark = self.marks[at]
        writer, position, number = mark.writer.copy(), mark.position, mark.line
        while len(found) < count:
            part = await self._book.read(log, position, limit=BLOCK_BYTES)
            if not part.frames or part.start.run != self._run:
                break
            done = await asyncio.to_thread(writer.add, self._wanted(part.frames))
            begin = max(0, first - number)
            found += done[begin : begin + count - len(found)]
            number += len(done)
            if part.position.run != self._run:
                break
            position = part.position
        if self.over and len(found) < count:
            start = max(0, first - (self.total - len(self._rest)))
            found += self._rest[start : start + count - len(found)]
        return found

    async def search(self, log: JobLog, text: str, first: int, *, exact: bool) -> Found:
        """The lines from `first` on that `text` is in; upper and lower case are the same unless `exact`."""
        found: list[int] = []
        at = bisect_right(self.marks, first, key=lambda mark: mark.line) - 1
        mark = self.marks[at]
        writer, position, number = mark.writer.copy(), mark.position, mark.line
        needle = text if exact else text.lower()
        size = 0
        while number < self.total:
            part = await self._book.read(log, position)
            if not part.frames or part.start.run != self._run:
                break
            frames = self._wanted(part.frames)
            hits, number = await asyncio.to_thread(_hits, writer, frames, number, needle, exact)
            found += [hit for hit in hits if hit >= first]
            size += sum(len(frame.data) for frame in part.frames)
            if part.position.run != self._run:
                break
            position = part.position
            if (size >= SEARCH_BYTES or len(found) >= MAX_MATCHES) and number < self.total:
                kept = found[:MAX_MATCHES]
                return Found(kept, kept[-1] + 1 if len(found) > MAX_MATCHES else number)
        if self.over:
            start = self.total - len(self._rest)
            found += [start + i for i, line in enumerate(self._rest) if start + i >= first and _in(line, needle, exact)]
        return Found(found, None)

    async def at(self, log: JobLog, time_ns: int) -> int:
        """The first line that began at a time or later; the last one if none did."""
        place = bisect_right(self.marks[1:], time_ns, key=lambda mark: mark.time_ns)
        first = self.marks[place].line
        while first < self.total:
            lines = await self.lines(log, first, 2_000)
            if not lines:
                break
            for number, line in enumerate(lines, first):
                if line.time_ns >= time_ns:
                    return number
            first += len(lines)
        return max(0, self.total - 1)


def _hits(writer: LineWriter, frames: list[Frame], number: int, needle: str, exact: bool) -> tuple[list[int], int]:
    """The lines of these frames that the needle is in, and the number of the line after them.

    A frame that cannot have it is only counted: bytes are searched many times faster than lines. What a line shows is
    a piece of its bytes without their sequences.
    """
    found: list[int] = []
    sought = needle.encode()
    for frame in frames:
        if needle.isascii():
            data = writer.begun(frame.stream).encode() + frame.data
            if b"\x1b" in data:
                data = without_sequences(data)
            if sought not in (data if exact else data.lower()):
                number += writer.skip((frame,))
                continue
        for line in writer.add((frame,)):
            if _in(line, needle, exact):
                found.append(number)
            number += 1
    return found, number


def _in(line: Line, needle: str, exact: bool) -> bool:
    return needle in (line.plain if exact else line.plain.lower())


class LogIndexes:
    """The indexes of the logs that are looked at, those that were looked at last."""

    def __init__(self, book: Logbook) -> None:
        self._book = book
        self._kept: OrderedDict[tuple[str, int, int | None], LogIndex] = OrderedDict()

    def of(self, job_id: str, run: int, stream: int | None) -> LogIndex:
        """The index of a run, new and empty if there is none."""
        key = (job_id, run, stream)
        index = self._kept.pop(key, None) or LogIndex(self._book, run, stream)
        self._kept[key] = index
        while len(self._kept) > MAX_INDEXES or (len(self._kept) > 1 and self._marks() > MAX_MARKS):
            self._kept.popitem(last=False)
        return index

    def _marks(self) -> int:
        return sum(len(index.marks) for index in self._kept.values())
