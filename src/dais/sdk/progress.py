"""How far a transfer has come, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is; what need not move counts as done. The totals may grow while a listing goes on."""

    files: int
    total_files: int
    bytes: int
    total_bytes: int


OnProgress = Callable[[Progress], None]


class Transferred(msgspec.Struct, frozen=True, kw_only=True):
    """What a push or pull did. `skipped` files were there already; `left_out` tells, in words, what was not carried."""

    files: int
    bytes: int
    skipped: int
    left_out: list[str] = []


class Meter:
    """Counts what moves, and tells it. For several threads."""

    def __init__(self, tell: OnProgress | None) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._total_files = self._total_bytes = 0
        self._files = self._bytes = 0
        self._seen_files = self._seen_bytes = 0
        self.skipped = 0

    def expect(self, files: int, size: int) -> None:
        """So much more is to be done."""
        with self._lock:
            self._total_files += files
            self._total_bytes += size
        self._report()

    def moved(self, files: int, size: int) -> None:
        """So much was sent or received."""
        with self._lock:
            self._files += files
            self._bytes += size
            self._seen_files += files
            self._seen_bytes += size
        self._report()

    def skip(self, files: int, size: int) -> None:
        """So much need not move."""
        with self._lock:
            self.skipped += files
            self._seen_files += files
            self._seen_bytes += size
        self._report()

    def result(self, left_out: list[str]) -> Transferred:
        """What was done."""
        return Transferred(files=self._files, bytes=self._bytes, skipped=self.skipped, left_out=left_out)

    def _report(self) -> None:
        if self._tell is not None:
            self._tell(Progress(self._seen_files, self._total_files, self._seen_bytes, self._total_bytes))
