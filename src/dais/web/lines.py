"""Frames of a log as lines of HTML, as they come: decoded, cut into lines, each with its time and stream."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass, field

from dais.engines.contract import STDERR, SYSTEM, Frame
from dais.kit.clock import to_rfc3339
from dais.web.ansi import PLAIN, Style, line_html, split_unfinished

MAX_LINE = 8 << 10
"""Characters after which a line is broken, so that one that never ends is shown as it comes."""

_kinds = {STDERR: " err", SYSTEM: " sys"}


@dataclass(frozen=True, slots=True)
class Lines:
    """What frames added: lines that are complete, then those that may still grow (at most one for each stream)."""

    done: list[str]
    open: list[str]


@dataclass(slots=True)
class _Stream:
    kind: str
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )
    text: str = ""
    style: Style = PLAIN
    time_ns: int = 0


class LineWriter:
    """Follows the streams of one run. Lines appear in the order in which they end."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}

    def add(self, frames: Iterable[Frame]) -> Lines:
        """The lines that these frames ended, and those that are open after them."""
        done: list[str] = []
        for frame in frames:
            stream = self._streams.get(frame.stream)
            if stream is None:
                stream = self._streams[frame.stream] = _Stream(_kinds.get(frame.stream, ""))
            self._feed(stream, frame, done)
        return Lines(done, self._open())

    def end(self) -> list[str]:
        """The open lines, which nothing will follow; the next frames begin new ones."""
        ended = self._open()
        self._streams.clear()
        return ended

    def _open(self) -> list[str]:
        return [_html(stream)[0] for stream in self._streams.values() if stream.text]

    def _feed(self, stream: _Stream, frame: Frame, done: list[str]) -> None:
        *complete, rest = stream.decoder.decode(frame.data).split("\n")
        for piece in complete:
            self._grow(stream, piece, frame.time_ns, done)
            stream.text = stream.text.removesuffix("\r")
            self._close(stream, done)
        self._grow(stream, rest, frame.time_ns, done)

    def _grow(self, stream: _Stream, piece: str, time_ns: int, done: list[str]) -> None:
        if not stream.text:
            stream.time_ns = time_ns
        stream.text += piece
        while len(stream.text) > MAX_LINE:
            before, returned, after = stream.text[:-1].rpartition("\r")
            if returned:  # a progress bar: what it overwrote is never looked at again
                _, stream.style = line_html(before, stream.style)
                stream.text = after + stream.text[-1]
                continue
            whole, unfinished = split_unfinished(stream.text[:MAX_LINE])
            if not whole:
                whole, unfinished = unfinished, ""
            rest = unfinished + stream.text[MAX_LINE:]
            stream.text = whole
            self._close(stream, done)
            stream.text, stream.time_ns = rest, time_ns

    def _close(self, stream: _Stream, done: list[str]) -> None:
        html, stream.style = _html(stream)
        done.append(html)
        stream.text = ""


def last_lines(lines: Lines, most: int, budget: int) -> tuple[Lines, bool]:
    """The newest of these, at most `most` and about `budget` characters of HTML, and whether some were left out."""
    kept: list[str] = []
    for html in reversed(lines.done):
        budget -= len(html)
        if len(kept) == most or (budget < 0 and kept):
            return Lines(kept[::-1], lines.open), True
        kept.append(html)
    return lines, False


def _html(stream: _Stream) -> tuple[str, Style]:
    body, style = line_html(stream.text, stream.style)
    at = to_rfc3339(stream.time_ns // 1000)
    return f'<div class="line{stream.kind}" data-t="{at[11:23]}">{body}</div>', style
