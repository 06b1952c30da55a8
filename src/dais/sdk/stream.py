"""Server-Sent Events: the parser, and the pieces of a stream as events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from dais.sdk.errors import BadAnswer
from dais.sdk.flow import Flow, Request, Shut, Stream, open_stream, read

MAX_EVENT = 64 << 20
"""Bytes of one event; Dais sends far smaller ones."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; `id` is what `Last-Event-ID` resumes after."""

    event: str
    data: str
    id: str | None


class Parser:
    """Turns pieces of a stream into events, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._event, self._data = "message", list[str]()
        self._last: str | None = None
        self._size = 0
        self._after_cr = False

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        """The events that a piece completes. Raises BadAnswer for an event without an end."""
        if self._after_cr and piece[:1] == b"\n":
            piece = piece[1:]
        self._after_cr = piece[-1:] == b"\r" if piece else self._after_cr
        if b"\n" not in piece and b"\r" not in piece:
            self._rest += piece
            if len(self._rest) > MAX_EVENT:
                raise BadAnswer("a line of the server has no end", code="bad-answer")
            return
        lines = (self._rest + piece).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line:
                self._line(line)
            elif self._data:
                yield ServerEvent(self._event, "\n".join(self._data), self._last)
                self._event, self._data, self._size = "message", [], 0
            else:
                self._event = "message"

    def _line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        text = value[1:] if value[:1] == b" " else value
        if name == b"data":
            self._size += len(text)
            if self._size > MAX_EVENT:
                raise BadAnswer("an event of the server has no end", code="bad-answer")
            self._data.append(text.decode("utf-8", "replace"))
        elif name == b"event":
            self._event = text.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in text:
            self._last = text.decode("utf-8", "replace")


def open_events(request: Request) -> Flow[Stream]:
    """Begin a stream. Raises the typed error of a refusal, and BadAnswer when something else answers."""
    headers = {**request.headers, "accept": "text/event-stream"}
    stream = yield from open_stream(replace(request, headers=headers))
    if not stream.headers.get("content-type", "").startswith("text/event-stream"):
        yield Shut(stream)
        raise BadAnswer(f"{request.path} is no stream of events here", code="bad-answer")
    return stream


def next_events(stream: Stream, parser: Parser) -> Flow[list[ServerEvent] | None]:
    """The events in the next piece (often none, for the server also keeps the line alive); None at the end."""
    piece = yield from read(stream)
    return list(parser.feed(piece)) if piece else None
