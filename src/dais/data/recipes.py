"""Recipes: large contents that are kept as the chunks that make them.

A recipe lies beside the blobs, under the digest of the whole, and is accepted only once all of it was read and has that
digest: nobody can give a content another's name. Its chunks are blobs like any other, so that two contents share what
they have in common.
"""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec
from blake3 import blake3

from dais.data.hashing import read_into
from dais.kit.errors import Invalid, Unavailable
from dais.wire.lake import MAX_CHUNK, Chunk, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

SUFFIX = ".recipe"
MAX_CHUNKS = 1_000_000
TOGETHER = 8 << 20
"""Bytes that are hashed at once, by several threads, while the next are read: who sends waits for nothing else."""
_HASHERS = 2

_decode = msgspec.json.Decoder(Recipe).decode


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file. Raises FileNotFoundError, Unavailable `blob-damaged`."""
    return decode_recipe(path.read_bytes(), path.name)


def decode_recipe(data: bytes, name: str) -> Recipe:
    """A recipe as it is kept; `name` is for the message. Raises Unavailable `blob-damaged`."""
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise Unavailable(
            f"the recipe {name} is damaged where the server keeps it; upload the content again", code="blob-damaged"
        ) from error


def check_recipe(recipe: Recipe) -> None:
    """Raises Invalid `bad-recipe` where the chunks cannot make such a content."""
    chunks = recipe.chunks
    total = sum(chunk.size for chunk in chunks)
    if not 1 <= len(chunks) <= MAX_CHUNKS or any(not 0 < chunk.size <= MAX_CHUNK for chunk in chunks):
        raise Invalid(
            f"a recipe has from 1 to {MAX_CHUNKS:,} chunks of 1 to {MAX_CHUNK:,} bytes; send the content whole",
            code="bad-recipe",
        )
    if total != recipe.size:
        raise Invalid(
            f"the chunks of {recipe.digest} have {total:,} bytes, the content {recipe.size:,}", code="bad-recipe"
        )


def digest_of_chunks(chunks: list[Chunk], open_chunk: Callable[[str], BinaryIO]) -> str:
    """The digest of chunks put together, read from the disk. Blocks. Raises NotFound, OSError."""
    hasher = blake3(max_threads=_HASHERS)
    buffer, other = (memoryview(bytearray(TOGETHER)) for _ in range(2))
    held = 0
    with ThreadPoolExecutor(1, thread_name_prefix="dais-hash") as beside:
        hashed = beside.submit(hasher.update, b"")
        for chunk in chunks:
            if held + chunk.size >= TOGETHER:
                hashed.result()
                hashed = beside.submit(hasher.update, buffer[:held])
                buffer, other, held = other, buffer, 0
            with open_chunk(chunk.digest) as file:
                size = read_into(file.fileno(), buffer[held : held + chunk.size + 1])
            if size != chunk.size:
                raise Invalid(
                    f"the chunk {chunk.digest} has not the {chunk.size:,} bytes that are said", code="bad-recipe"
                )
            held += size
        hashed.result()
    hasher.update(buffer[:held])
    return f"blake3:{hasher.hexdigest()}"


class Content(io.RawIOBase):
    """A content that is no file of its own, for reading like one."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._at = 0

    @abstractmethod
    def read_at(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from an offset on, b"" at the end. Raises NotFound, OSError, Unavailable."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.read_at(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class ChunkedContent(Content):
    """A content made of chunks. `open_chunk` opens one by its digest."""

    def __init__(self, recipe: Recipe, open_chunk: Callable[[str], BinaryIO]) -> None:
        super().__init__(recipe.size)
        self._chunks = recipe.chunks
        self._starts = list(_starts(recipe.chunks))
        self._open_chunk = open_chunk
        self._number = -1
        self._file: BinaryIO | None = None

    def read_at(self, offset: int, count: int) -> bytes:
        from bisect import bisect_right

        found = bytearray()
        while len(found) < count and offset < self.size:
            number = bisect_right(self._starts, offset) - 1
            inside = offset - self._starts[number]
            wanted = min(count - len(found), self._chunks[number].size - inside)
            data = os.pread(self._chunk(number).fileno(), wanted, inside)
            if len(data) != wanted:
                raise Unavailable(
                    f"the chunk {self._chunks[number].digest} is cut off on the server's disk", code="blob-damaged"
                )
            found += data
            offset += len(data)
        return bytes(found)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()

    def _chunk(self, number: int) -> BinaryIO:
        if self._number != number or self._file is None:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._file = self._open_chunk(self._chunks[number].digest)
            self._number = number
        return self._file


def _starts(chunks: list[Chunk]) -> Iterator[int]:
    at = 0
    for chunk in chunks:
        yield at
        at += chunk.size
