"""Cutting large files where their content says so, so that what two versions have in common is cut alike."""

from __future__ import annotations

import functools
import threading

from blake3 import blake3

from dais.sdk.local_files import digest_of
from dais.sdk.open_file import OpenFile
from dais.wire.lake import AVERAGE_CHUNK, MAX_CHUNK, MIN_CHUNK, Chunk

ROOM = 8 * MAX_CHUNK
"""Bytes of a file that are in memory at once."""


@functools.cache
def can_cut() -> bool:
    """Whether the compiled cutter is there; without it large files are sent whole, for Python alone takes minutes."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyfastcdc import FastCDC
    return ".cy." in f"{FastCDC.__module__}."


class Cutter:
    """The chunks of an open file, in order, each with its offset. For several threads: each takes the next ones.

    What is read is cut and hashed twice, in its chunk and in the whole, while it is in the processor's cache.
    """

    def __init__(self, source: OpenFile) -> None:
        from pyfastcdc import FastCDC

        self.chunks: list[Chunk] = []
        """What was cut until now."""
        self._source = source
        self._cutter = FastCDC(AVERAGE_CHUNK, min_size=MIN_CHUNK, max_size=MAX_CHUNK)
        self._hasher = blake3()
        self._lock = threading.Lock()
        self._buffer = memoryview(bytearray(min(ROOM, source.size)))
        self._rest = self._buffer[:0]
        self._at = 0

    def next(self, size: int) -> list[tuple[int, Chunk]]:
        """The next chunks, of at most `size` bytes (MAX_CHUNK or more); none at the end. Blocks.

        Raises Invalid `file-changed` when the file has become shorter, OSError.
        """
        found: list[tuple[int, Chunk]] = []
        with self._lock:
            first = self._at
            while self._at < self._source.size and self._at + MAX_CHUNK <= first + size:
                found.append((self._at, self._cut()))
        return found

    def digest(self) -> str:
        """The digest of the whole, once all was cut. Raises Invalid `file-changed`."""
        self._source.check_same()
        return f"blake3:{self._hasher.hexdigest()}"

    def _cut(self) -> Chunk:
        if len(self._rest) < MAX_CHUNK:
            self._read_on()
        data = next(self._cutter.cut_buf(self._rest)).data
        self._hasher.update(data)
        chunk = Chunk(digest_of(data), len(data))
        self.chunks.append(chunk)
        self._rest = self._rest[len(data) :]
        self._at += len(data)
        return chunk

    def _read_on(self) -> None:
        """Have as much of the file in memory as there is room for: where a chunk ends depends on nothing behind it."""
        held = len(self._rest)
        self._buffer[:held] = self._rest
        self._rest = self._buffer[: min(len(self._buffer), self._source.size - self._at)]
        if self._source.read_into(self._rest[held:], self._at + held) < len(self._rest) - held:
            raise self._source.changed()
