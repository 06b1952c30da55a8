"""A file while it is sent: hashed beside, and seen to be the same at the end as at the beginning."""

from __future__ import annotations

import hashlib
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from blake3 import blake3

from dais.sdk.errors import Invalid
from dais.sdk.local_files import CHUNK, stamp_of


class OpenFile:
    """An open file of `size` bytes. For one sender, whose bytes a thread of its own hashes. Raises OSError.

    `name` is another for another content: place, inode, size and times make it.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self.file = open(location, "rb", buffering=0)  # noqa: PTH123, SIM115  closed by `close`
        info = os.fstat(self.file.fileno())
        self.size = info.st_size
        self.stamp = stamp_of(info)
        place = f"{platform.node()}\0{os.path.abspath(location)}\0{self.stamp[:4]}"  # noqa: PTH100  not resolved
        self.name = hashlib.sha256(os.fsencode(place)).hexdigest()
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="dais-hash")
        self._hasher = blake3()
        self._asked = self._hashed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beside.shutdown(cancel_futures=True)
        self.file.close()

    def read_at(self, offset: int, size: int) -> bytes:
        """The bytes from an offset on. Raises Invalid `file-changed` when there are fewer."""
        whole = os.pread(self.file.fileno(), size, offset)
        if len(whole) == size:
            return whole
        data = bytearray()
        while len(data) < size and (piece := os.pread(self.file.fileno(), size - len(data), offset + len(data))):
            data += piece
        if len(data) < size:
            raise self.changed()
        return bytes(data)

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill a buffer from an offset on; how much there was, less only at the end. Raises OSError."""
        got = 0
        while got < len(buffer) and (count := os.preadv(self.file.fileno(), [buffer[got:]], offset + got)):
            got += count
        return got

    def hash_to(self, end: int) -> None:
        """Hash, beside, what lies before `end` and is not hashed yet."""
        if end > self._asked:
            self._asked = end
            self._beside.submit(self._hash, end)

    def digest(self) -> str:
        """The digest of the whole. Blocks. Raises Invalid `file-changed` when it is not what it was when opened."""
        self._asked = self.size
        self._beside.submit(self._hash, self.size).result()
        if self._hashed != self.size:
            raise self.changed()
        self.check_same()
        return f"blake3:{self._hasher.hexdigest()}"

    def check_same(self) -> None:
        """Raises Invalid `file-changed` when the file is not what it was when it was opened."""
        if stamp_of(os.fstat(self.file.fileno())) != self.stamp:
            raise self.changed()

    def changed(self) -> Invalid:
        """The error that says so."""
        return Invalid(
            f"{self.location!r} changes while it is sent",
            code="file-changed",
            hint="send it when nobody writes into it",
        )

    def _hash(self, end: int) -> None:
        buffer = memoryview(bytearray(CHUNK))
        while self._hashed < end and (
            got := os.preadv(self.file.fileno(), [buffer[: end - self._hashed]], self._hashed)
        ):
            self._hasher.update(buffer[:got])
            self._hashed += got


def changed(location: str) -> Invalid:
    return Invalid(
        f"{location!r} changes while it is sent", code="file-changed", hint="send it when nobody writes into it"
    )
