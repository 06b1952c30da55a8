"""Bodies in chunks: whatever pieces they come in, they are the same; what is no chunk is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dais.proxy.http.chunks import LAST_CHUNK, BadChunk, Chunks, framed


def fed(data: bytes, cuts: list[int]) -> tuple[bytes, Chunks]:
    reader, found, start = Chunks(), b"", 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        if cut > start and not reader.ended:
            found += b"".join(reader.feed(data[start:cut]))
            start = cut
    return found, reader


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.lists(st.integers(0, 400), max_size=12))
def test_a_body_is_the_same_however_it_is_cut(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(framed([piece]) for piece in pieces) + LAST_CHUNK
    found, reader = fed(data, cuts)
    assert found == b"".join(pieces)
    assert reader.ended
    assert reader.rest == b""


def test_what_a_chunk_carries_beside_and_what_follows_the_last_is_dropped() -> None:
    data = b'4;name="a b";x\r\nbody\r\n0\r\nX-Trailer: y\r\nCookie: z\r\n\r\nNEXT'
    for cut in range(len(data)):
        found, reader = fed(data[: data.index(b"NEXT")], [cut])
        assert (found, reader.ended) == (b"body", True)
    reader = Chunks()
    assert reader.feed(data) == [b"body"]
    assert reader.rest == b"NEXT"


BROKEN = {
    "no number": b"zz\r\nok\r\n0\r\n\r\n",
    "a sign": b"+2\r\nok\r\n0\r\n\r\n",
    "0x": b"0x2\r\nok\r\n0\r\n\r\n",
    "nothing": b"\r\nok\r\n0\r\n\r\n",
    "a bare line feed": b"2\nok\r\n0\r\n\r\n",
    "a bare carriage return": b"2\rok\r\n0\r\n\r\n",
    "a line feed in an extension": b"2;a\nb\r\nok\r\n0\r\n\r\n",
    "too long a number": b"1" * 17 + b"\r\nok\r\n",
    "more than was said": b"2\r\nokay\r\n0\r\n\r\n",
    "no line end after the bytes": b"2\r\nok0\r\n\r\n",
    "a line feed after the bytes": b"2\r\nok\n0\r\n\r\n",
    "an extension without end": b"2;" + b"a" * 2000,
    "a line feed in the trailer": b"0\r\nX: a\nY: b\r\n\r\n",
    "a trailer without end": b"0\r\n" + b"X: y\r\n" * 10_000,
    "a space before the number": b" 2\r\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_is_no_chunk_is_refused(data: bytes) -> None:
    with pytest.raises(BadChunk):
        fed(data, [])
    with pytest.raises(BadChunk):
        fed(data, list(range(len(data))))
