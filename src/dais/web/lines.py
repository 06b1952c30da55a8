"""Frames of a log as lines, as they come: decoded, cut, each with its time, its stream and its first colours."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from markupsafe import escape

from dais.engines.contract import STDERR, SYSTEM, Frame
from dais.kit.clock import to_rfc3339
from dais.web.ansi import PLAIN, Style, line_html, plain_text, split_unfinished, style_after

MAX_LINE = 8 << 10
"""Characters after which a line is broken, so that one that never ends is shown as it comes."""

KINDS = {STDERR: "err", SYSTEM: "sys"}
"""What a line's class says of its stream."""

_resets = (b"\x1b[0m", b"\x1b[m")
_no_bytes = codecs.getincrementaldecoder("utf-8")(errors="replace").getstate()


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its end. `style` is how its text begins to look."""

    text: str
    style: Style
    stream: int
    time_ns: int

    @property
    def html(self) -> str:
        return line_html(self.text, self.style)[0]

    @property
    def plain(self) -> str:
        """What is to be read in it."""
        return plain_text(self.text)

    @property
    def time_ms(self) -> int:
        return self.time_ns // 1_000_000

    def row(self, number: int | None = None, address: str = "") -> str:
        """The line as a row of the log; with its number as a link to itself below an address, where it is known."""
        kind = KINDS.get(self.stream, "")
        at = to_rfc3339(self.time_ns // 1000)
        name, link = "", ""
        if number is not None:
            name = f' id="L{number}" data-n="{number}"'
            link = f'<a class="n" href="{escape(address)}#L{number}">{number}</a>'
        return (
            f'<div class="line{" " + kind if kind else ""}"{name} data-t="{self.time_ms}">'
            f'{link}<span class="t">{at[11:23]}</span><span class="text">{self.html}</span></div>'
        )


@dataclass(slots=True)
class _Stream:
    number: int
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )
    text: str = ""
    style: Style = PLAIN
    time_ns: int = 0

    @property
    def line(self) -> Line:
        return Line(self.text, self.style, self.number, self.time_ns)

    def copy(self) -> _Stream:
        other = _Stream(self.number, text=self.text, style=self.style, time_ns=self.time_ns)
        other.decoder.setstate(self.decoder.getstate())
        return other


class LineWriter:
    """Follows the streams of one run. Lines appear in the order in which they end."""

    def __init__(self) -> None:
        self._streams: dict[int, _Stream] = {}

    def add(self, frames: Iterable[Frame]) -> list[Line]:
        """The lines that these frames ended."""
        done: list[Line] = []
        for frame in frames:
            _feed(self._of(frame), frame, done)
        return done

    def skip(self, frames: Iterable[Frame]) -> int:
        """How many lines these frames ended: what `add` would give, without making them, and ten times faster."""
        count = 0
        for frame in frames:
            stream = self._of(frame)
            quick = _skip(stream, frame)
            if quick is None:
                done: list[Line] = []
                _feed(stream, frame, done)
                quick = len(done)
            count += quick
        return count

    def open(self) -> list[Line]:
        """The lines that may still grow: at most one for each stream."""
        return [stream.line for stream in self._streams.values() if stream.text]

    def begun(self, stream: int) -> str:
        """What the open line of a stream has so far."""
        return self._streams[stream].text if stream in self._streams else ""

    def copy(self) -> LineWriter:
        """Another one that goes on from here by itself."""
        other = LineWriter()
        other._streams = {number: stream.copy() for number, stream in self._streams.items()}
        return other

    def _of(self, frame: Frame) -> _Stream:
        stream = self._streams.get(frame.stream)
        if stream is None:
            stream = self._streams[frame.stream] = _Stream(frame.stream)
        return stream


def _feed(stream: _Stream, frame: Frame, done: list[Line]) -> None:
    *complete, rest = stream.decoder.decode(frame.data).split("\n")
    for piece in complete:
        _grow(stream, piece, frame.time_ns, done)
        stream.text = stream.text.removesuffix("\r")
        _close(stream, done)
    _grow(stream, rest, frame.time_ns, done)


def _grow(stream: _Stream, piece: str, time_ns: int, done: list[Line]) -> None:
    if not stream.text:
        stream.time_ns = time_ns
    stream.text += piece
    while len(stream.text) > MAX_LINE:
        before, returned, after = stream.text[:-1].rpartition("\r")
        if returned:  # a progress bar: what it overwrote is never looked at again
            stream.style = style_after(before, stream.style)
            stream.text = after + stream.text[-1]
            continue
        whole, unfinished = split_unfinished(stream.text[:MAX_LINE])
        if not whole:
            whole, unfinished = unfinished, ""
        rest = unfinished + stream.text[MAX_LINE:]
        stream.text = whole
        _close(stream, done)
        stream.text, stream.time_ns = rest, time_ns


def _close(stream: _Stream, done: list[Line]) -> None:
    done.append(stream.line)
    stream.style = style_after(stream.text, stream.style)
    stream.text = ""


def _skip(stream: _Stream, frame: Frame) -> int | None:
    """Go past a frame's lines without looking at each; None where that cannot be."""
    data = frame.data
    cut = data.rfind(b"\n")
    if cut < 0 or len(stream.text) + data.find(b"\n") > MAX_LINE:
        return None
    if len(data) > MAX_LINE and max(map(len, data.split(b"\n"))) > MAX_LINE:
        return None
    style = stream.style
    if "\x1b" in stream.text or b"\x1b" in data[:cut]:
        reset = max(data.rfind(code, 0, cut) for code in _resets)
        if reset < 0:
            return None
        style = PLAIN
        for text in data[reset:cut].decode("utf-8", "replace").split("\n"):
            style = style_after(text, style)
    stream.decoder.setstate(_no_bytes)
    stream.text = stream.decoder.decode(data[cut + 1 :])
    stream.style, stream.time_ns = style, frame.time_ns
    return data.count(b"\n")


def last_lines(lines: list[Line], most: int, budget: int) -> tuple[list[Line], bool]:
    """The newest of these, at most `most` and about `budget` characters of HTML, and whether some were left out."""
    kept: list[Line] = []
    for line in islice(reversed(lines), most):
        budget -= len(line.row(0))
        if budget < 0 and kept:
            break
        kept.append(line)
    return kept[::-1], len(kept) < len(lines)
