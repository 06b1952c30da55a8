"""Cutting large files where their content says so, so that what two versions have in common is cut alike."""

from __future__ import annotations

import functools

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
        self._cutter = FastCDC(AVERAGE_CHUNK, min_size=MIN_CHUNK, max_size=MAX_CHUNK)
        self._at = 0
        self._buffer = memoryview(b"")

    def next(self, size: int) -> list[tuple[int, Chunk]]:
        """The next chunks, of about `size` bytes, which are more than one chunk has; none at the end. Blocks.

        Raises Invalid `file-changed` when the file has become shorter, OSError.
        """
        if len(self._buffer) < size:
            self._buffer = memoryview(bytearray(size))
        window = self._buffer[: min(size, self._source.size - self._at)]
        if self._source.read_into(window, self._at) < len(window):
            raise self._source.changed()
        self._source.hash_to(self._at + len(window))
        whole = self._at + len(window) == self._source.size
        found: list[tuple[int, Chunk]] = []
        for chunk in self._cutter.cut_buf(window):
            if chunk.offset + chunk.length == len(window) and not whole:
                break  # it may go on in what follows: the next window begins with it
            found.append((self._at + chunk.offset, Chunk(digest_of(chunk.data), chunk.length)))
        if found:
            offset, last = found[-1]
            self._at = offset + last.size
        return found
