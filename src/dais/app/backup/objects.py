"""The contents of a backup: the same store as an installation's blobs, fed from open files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from dais.data.blobs import BlobStore
from dais.data.durable import write_all
from dais.data.hashing import CHUNK, PREFIX, stamp_of
from dais.kit.ids import new_id

SMALL = 256 << 10
GROUP_BYTES = 16 << 20
TRIES = 3

Stored = Callable[[str, int, bool], None]
"""Told the digest and size of what was stored, and whether it changed while it was read."""


class Objects(BlobStore):
    """Stores files by what is in them. Small ones are collected and written together: call `flush` at the end."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._waiting: list[tuple[bytes, Stored, bool]] = []
        self._held = 0

    def add(self, fd: int, stored: Stored) -> None:
        """Store what an open file holds. A file that is written meanwhile is read again, at most three times.

        Raises Unavailable `disk-full`, OSError.
        """
        for attempt in range(TRIES):
            before = stamp_of(os.fstat(fd))
            small = before[2] <= SMALL
            content = os.pread(fd, SMALL + 1, 0) if small else b""
            digest, size = ("", 0) if small and len(content) <= SMALL else self._stream(fd)
            changed = stamp_of(os.fstat(fd)) != before
            if not changed or attempt == TRIES - 1:
                break
        if digest:
            stored(digest, size, changed)
            return
        self._waiting.append((content, stored, changed))
        self._held += len(content)
        if self._held >= GROUP_BYTES or len(self._waiting) >= 1024:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises Unavailable `disk-full`."""
        waiting, self._waiting, self._held = self._waiting, [], 0
        digests = self.put_many([content for content, _, _ in waiting])
        for digest, (content, stored, changed) in zip(digests, waiting, strict=True):
            stored(digest, len(content), changed)

    def holds(self, digest: str, size: int) -> bool:
        """Whether a content is there, with its size."""
        try:
            return self.path(digest).stat().st_size == size
        except FileNotFoundError:
            return False

    def _stream(self, fd: int) -> tuple[str, int]:
        """Copy a large file aside, hashing it on the way, and give it its name."""
        aside = self._aside / new_id()
        new = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        hasher, at = blake3(), 0
        try:
            while chunk := os.pread(fd, CHUNK, at):
                hasher.update(chunk)
                write_all(new, chunk, at)
                at += len(chunk)
            digest = PREFIX + hasher.hexdigest()
            if not self.holds(digest, at):
                os.fsync(new)
                self._place({digest: aside})
        finally:
            os.close(new)
            aside.unlink(missing_ok=True)
        return digest, at
