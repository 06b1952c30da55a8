"""One shell that the server holds, and the pages that look at it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from dais.compute.terminals.replay import Replay
from dais.engines.contract import ExecStream, Terminal
from dais.kit.clock import SECOND, Clock

WINDOW = 128 << 10
"""Bytes that a page may have been sent and not yet drawn; the shell waits for the page that is in use."""
PIECE = 32 << 10
SLOW_SECONDS = 15.0
"""A page that draws nothing for so long, while there is something to draw, is cut: it comes back where it was."""
MOST_ROWS, MOST_COLS = 500, 1000

OPEN_MODES = b"\x1b[!p"
"""Told to a screen that begins afresh: forget what was set (DECSTR)."""


@dataclass(eq=False)
class Viewer:
    """A page that looks. `at` is the offset of the next byte to send, `drawn` up to where it has said to have drawn."""

    rows: int
    cols: int
    at: int = 0
    drawn: int = 0
    cut: bool = False
    """It was too slow."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    words: list[str] = field(default_factory=list)
    """Lines of Dais itself that it is to be told."""

    @classmethod
    def of_size(cls, rows: int, cols: int) -> Viewer:
        return cls(*cls.bounded(rows, cols))

    @staticmethod
    def bounded(rows: int, cols: int) -> tuple[int, int]:
        """A size that a terminal can have."""
        return max(1, min(rows, MOST_ROWS)), max(1, min(cols, MOST_COLS))


class Held:
    """A shell at work. `over` is set with why it ended; `exit_code` where it ended by itself."""

    def __init__(
        self, id_: str, run_id: str, owner_id: str, stream: ExecStream, size: Terminal, clock: Clock, replay: int
    ) -> None:
        self.id = id_
        self.run_id = run_id
        self.owner_id = owner_id
        self.created_at = clock.now()
        self.replay = Replay(replay)
        self.rows, self.cols = size.rows, size.cols
        self.viewers: list[Viewer] = []
        self.over = ""
        self.exit_code: int | None = None
        self.unwatched_since: int | None = self.created_at
        self._clock = clock
        self._active: Viewer | None = None
        self._room = asyncio.Event()
        self._stream = stream
        self._typed: Callable[[], None] = lambda: None

    async def run(self, typed: Callable[[], None]) -> None:
        """Read what the shell prints until it ends. `typed` is called for each thing typed."""
        stream, self._typed = self._stream, typed
        try:
            while True:
                item = await stream.receive()
                if isinstance(item, int):
                    self.exit_code = item
                    self.end("exited")
                    return
                self.replay.add(item[1])
                self._wake()
                await self._wait_for_active()
        except (OSError, LookupError, EOFError):
            self.end("lost")
        finally:
            self.end("closed")
            await self.close()

    async def close(self) -> None:
        """End the command, if it still runs."""
        with contextlib.suppress(OSError, LookupError):
            await self._stream.close()

    def end(self, why: str) -> None:
        """It is over; the first reason stays."""
        self.over = self.over or why
        self._room.set()
        self._wake()

    async def join(self, viewer: Viewer, at: int | None) -> bytes | None:
        """Let a page look from offset `at` on, which is what it had drawn before. What a screen that begins afresh is
        told first; None where it goes on."""
        self.viewers.append(viewer)
        self.unwatched_since = None
        first = None
        if at is not None and self.replay.has(at):
            viewer.at = at
        else:
            modes, viewer.at = self.replay.afresh()
            first = OPEN_MODES + modes
        viewer.drawn = viewer.at
        await self.take_over(viewer)
        return first

    def leave(self, viewer: Viewer) -> None:
        if viewer in self.viewers:
            self.viewers.remove(viewer)
        if self._active is viewer:
            self._active = self.viewers[-1] if self.viewers else None
        self._room.set()
        if not self.viewers:
            self.unwatched_since = self._clock.now()

    async def take_over(self, viewer: Viewer) -> None:
        """This page is the one in use: the shell has its size."""
        self._active = viewer
        self._room.set()
        if (viewer.rows, viewer.cols) == (self.rows, self.cols):
            return
        self.rows, self.cols = viewer.rows, viewer.cols
        self._wake()
        if not self.over:
            with contextlib.suppress(OSError, LookupError):
                await self._stream.resize(self.rows, self.cols)

    async def send(self, viewer: Viewer, data: bytes) -> None:
        """What was typed or pasted in a page; waits while the shell does not read."""
        if self._active is not viewer:
            await self.take_over(viewer)
        if not self.over:
            self._typed()
            with contextlib.suppress(OSError, LookupError):  # it has just ended, which is told by itself
                await self._stream.send(data)

    def drew(self, viewer: Viewer, offset: int) -> None:
        """A page has drawn everything up to an offset."""
        if viewer.drawn < offset <= viewer.at:
            viewer.drawn = offset
            viewer.news.set()
            self._room.set()

    def say(self, words: str) -> None:
        """Tell every page something that is not the shell's."""
        for viewer in self.viewers:
            viewer.words = [*viewer.words[-7:], words]
        self._wake()

    def next(self, viewer: Viewer) -> bytes:
        """What a page may be sent now; nothing while it has enough to draw. One that fell behind is cut."""
        if not self.replay.has(viewer.at):
            viewer.cut = True
            return b""
        room = WINDOW - (viewer.at - viewer.drawn)
        data = self.replay.since(viewer.at, min(room, PIECE)) if room > 0 else b""
        viewer.at += len(data)
        return data

    def is_unwatched(self, seconds: float) -> bool:
        """Whether nobody has looked for so long."""
        since = self.unwatched_since
        return since is not None and self._clock.now() - since >= seconds * SECOND

    async def _wait_for_active(self) -> None:
        """Let the page in use keep up; the others are cut when what they lack is not kept any more."""
        limit = self.replay.end - WINDOW
        while not self.over and (active := self._active) is not None and active.at < limit:
            self._room.clear()
            before = active.drawn
            try:
                async with asyncio.timeout(SLOW_SECONDS):
                    await self._room.wait()
            except TimeoutError:
                if active is self._active and active.drawn == before:
                    active.cut = True
                    self._active = None
                    active.news.set()

    def _wake(self) -> None:
        for viewer in self.viewers:
            viewer.news.set()
