"""The parser of Server-Sent Events, wherever the stream is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.sdk import stream
from dais.sdk.errors import BadAnswer
from dais.sdk.stream import Parser, ServerEvent

TEXT = (
    b": keep-alive\n\nid: 1\nevent: log\ndata: one\n\r\nevent: log\rdata: two\rdata:  more\r\rdata\r\n\r\n"
    b"id: 2\n\nretry: 10\nevent: odd\n\ndata: \xc3\xa4\n\nevent: cut\ndata: off\n"
)
EXPECTED = [
    ServerEvent("log", "one", "1"),
    ServerEvent("log", "two\n more", "1"),
    ServerEvent("message", "", "1"),
    ServerEvent("message", "ä", "2"),
]


@given(st.lists(st.integers(0, len(TEXT)), max_size=12))
def test_it_does_not_matter_where_it_is_cut(cuts: list[int]) -> None:
    parser = Parser()
    places = [0, *sorted(cuts), len(TEXT)]
    found = [
        event for start, end in itertools.pairwise(places) if start != end for event in parser.feed(TEXT[start:end])
    ]
    assert found == EXPECTED


def test_an_event_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_EVENT", 1000)
    for piece in (b"x" * 600, b"data: " + b"x" * 500 + b"\n"):
        parser = Parser()
        assert list(parser.feed(piece)) == []
        with pytest.raises(BadAnswer):
            list(parser.feed(piece + piece))
