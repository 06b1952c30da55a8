"""Cutting large files where their content says so, so that what two versions have in common is cut alike."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from dais.sdk.local_files import digest_of
from dais.sdk.open_file import OpenFile
from dais.wire.lake import AVERAGE_CHUNK, MAX_CHUNK, MIN_CHUNK, Chunk


@functools.cache
def can_cut() -> bool:
    """Whether the compiled cutter is there; without it large files are sent whole, for Python alone takes minutes."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyfastcdc import FastCDC
    return ".cy." in f"{FastCDC.__module__}."


class Cutter:
    """The chunks of an open file, in order, each with its offset; it is hashed as a whole beside."""

    def __init__(self, source: OpenFile) -> None:
        from pyfastcdc import FastCDC

        self._source = source
        cutter = FastCDC(AVERAGE_CHUNK, min_size=MIN_CHUNK, max_size=MAX_CHUNK)
        self._chunks: Iterator[Any] = cutter.cut_stream(_Reader(source))

    def next(self, size: int) -> list[tuple[int, Chunk]]:
        """The next chunks, of about `size` bytes; none at the end. Blocks."""
        found: list[tuple[int, Chunk]] = []
        total = 0
        for chunk in self._chunks:
            found.append((chunk.offset, Chunk(digest_of(chunk.data), chunk.length)))
            total += chunk.length
            if total >= size:
                break
        return found


class _Reader:
    """Reads an open file from its beginning for the cutter."""

    def __init__(self, source: OpenFile) -> None:
        self._source = source
        self._at = 0

    def readinto(self, buffer: memoryview) -> int:
        got = self._source.read_into(buffer, self._at)
        self._at += got
        self._source.hash_to(self._at)
        return got
