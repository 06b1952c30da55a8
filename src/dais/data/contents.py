"""A stored content, opened for reading: ranges of it, and pieces for packs."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from dais.data.blobs import BlobStore
from dais.data.lake.types import LakeFile
from dais.data.recipes import Content
from dais.kit.errors import NotFound
from dais.wire.transfers import SMALL_FILE, PackEntry, pack_header


class Readable(Protocol):
    """What downloads are made of. `tag` is another for another content."""

    @property
    def size(self) -> int: ...
    @property
    def executable(self) -> bool: ...
    @property
    def tag(self) -> str: ...

    def read_at(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from an offset on, b"" at the end. Blocks. Raises OSError, Unavailable."""
        ...


class OpenContent:
    """A version's content. Close it."""

    def __init__(self, blobs: BlobStore, file: LakeFile) -> None:
        self.size = file.size
        self.executable = file.executable
        self.tag = file.digest.rpartition(":")[2]
        self._blob = blobs.open(file.digest)

    def read_at(self, offset: int, count: int) -> bytes:
        if isinstance(self._blob, Content):
            return self._blob.read_at(offset, count)
        return os.pread(self._blob.fileno(), count, offset)

    def close(self) -> None:
        self._blob.close()


@contextmanager
def open_content(blobs: BlobStore, file: LakeFile) -> Iterator[OpenContent]:
    """The content of a version of a file, for reading. Raises NotFound `no-such-blob`."""
    content = OpenContent(blobs, file)
    try:
        yield content
    finally:
        content.close()


def pack_contents(blobs: BlobStore, found: Iterable[LakeFile]) -> Generator[bytes, None, None]:
    """A pack with the contents of these versions, piece by piece. Large ones are named in it without content."""
    for file in found:
        if file.size >= SMALL_FILE:
            yield pack_header(PackEntry(path=file.name, kind="large"))
            continue
        try:
            with blobs.open(file.digest) as blob:
                data = blob.read()
        except NotFound:
            yield pack_header(PackEntry(path=file.name, kind="absent"))
            continue
        entry = PackEntry(path=file.name, size=len(data), digest=file.digest, executable=file.executable)
        yield pack_header(entry)
        yield data
