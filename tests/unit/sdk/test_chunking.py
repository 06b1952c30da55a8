"""Cutting a file piece by piece, as if it were cut at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dais.sdk.chunking import ROOM, Cutter, can_cut
from dais.sdk.errors import Invalid
from dais.sdk.local_files import digest_of
from dais.sdk.open_file import OpenFile
from dais.wire.lake import AVERAGE_CHUNK, MAX_CHUNK, MIN_CHUNK, Chunk

pytestmark = pytest.mark.skipif(not can_cut(), reason="pyfastcdc is not compiled here")

PACK = 3 * MAX_CHUNK
Taken = list[tuple[int, Chunk]]


@pytest.fixture(scope="module")
def content() -> bytes:
    return random.Random(1).randbytes(ROOM + 2 * MAX_CHUNK + 12_345)


@pytest.fixture
def place(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "large").write_bytes(content)
    return tmp_path / "large"


def all_of(take: Callable[[int], Taken]) -> list[Taken]:
    found = []
    while taken := take(PACK):
        found.append(taken)
    return found


def at_once(content: bytes) -> list[tuple[int, int]]:
    from pyfastcdc import FastCDC

    cutter = FastCDC(AVERAGE_CHUNK, min_size=MIN_CHUNK, max_size=MAX_CHUNK)
    return [(chunk.offset, chunk.length) for chunk in cutter.cut_buf(content)]


def test_a_file_is_cut_as_if_all_of_it_were_in_memory(place: Path, content: bytes) -> None:
    with OpenFile(str(place)) as source:
        cutter = Cutter(source)
        packs = all_of(cutter.next)
        assert cutter.digest() == digest_of(content)
    found = [one for pack in packs for one in pack]
    assert [(offset, chunk.size) for offset, chunk in found] == at_once(content)
    assert all(chunk.digest == digest_of(content[at : at + chunk.size]) for at, chunk in found)
    assert cutter.chunks == [chunk for _, chunk in found]
    assert max(sum(chunk.size for _, chunk in pack) for pack in packs) <= PACK


def test_threads_that_take_in_turn_get_all_of_it_once(place: Path, content: bytes) -> None:
    with OpenFile(str(place)) as source, ThreadPoolExecutor(4) as threads:
        cutter = Cutter(source)
        taken = [pack for packs in threads.map(lambda _: all_of(cutter.next), range(4)) for pack in packs]
        assert cutter.digest() == digest_of(content)
    found = sorted((offset, chunk.size) for pack in taken for offset, chunk in pack)
    assert found == at_once(content)
    assert [chunk.size for chunk in cutter.chunks] == [size for _, size in found]


def test_a_file_that_becomes_another_is_seen(place: Path, content: bytes) -> None:
    with OpenFile(str(place)) as source:
        cutter = Cutter(source)
        cutter.next(PACK)
        place.write_bytes(content[:ROOM])
        with pytest.raises(Invalid, match="changes while it is sent"):
            all_of(cutter.next)
    with OpenFile(str(place)) as source:
        cutter = Cutter(source)
        all_of(cutter.next)
        place.write_bytes(content[:ROOM])
        with pytest.raises(Invalid, match="changes while it is sent"):
            cutter.digest()
