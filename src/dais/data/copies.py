"""Copies of blobs on this machine: those that were read last, as many as fit."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from dais.data.durable import write_all
from dais.data.pieces import Data
from dais.kit.ids import new_id

log = logging.getLogger(__name__)

_boot = Path("/proc/sys/kernel/random/boot_id")


class Copies:
    """Files below `root`, in directories by the first two digits. For several threads and processes.

    Whoever opened a copy, or made a link to it, keeps it when it is removed here. Nothing is flushed: after the machine
    was started anew all copies are dropped, for any of them may be cut off.
    """

    def __init__(self, root: Path, limit: int) -> None:
        self._root = root
        self._limit = limit
        self._lock = threading.Lock()
        self._drop_those_of_another_boot()
        self._held = sum(size for _, size, _ in self._all())

    def open(self, place: Path) -> BinaryIO | None:
        """A copy, for reading; None when there is none."""
        try:
            file = place.open("rb", buffering=0)
        except FileNotFoundError:
            return None
        with suppress(OSError):
            os.utime(file.fileno())
        return file

    def keep(self, place: Path, data: Data) -> None:
        """Write a copy. A disk that takes none is no error."""
        aside = self._root / ".new" / new_id()
        try:
            fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
            try:
                write_all(fd, data, 0)
            finally:
                os.close(fd)
            self.place(aside, place, len(data))
        except OSError as error:
            log.warning("a copy of a blob could not be kept: %s", error)
            aside.unlink(missing_ok=True)

    def place(self, aside: Path, place: Path, size: int) -> None:
        """Make a finished file a copy. Raises OSError."""
        aside.replace(place)
        with self._lock:
            self._held += size
            full = self._held > self._limit
        if full:
            self.evict()

    def evict(self) -> None:
        """Remove those that were read longest ago, until a tenth of the room is free."""
        with self._lock:
            found = sorted(self._all(), key=lambda one: one[2])
            held = sum(size for _, size, _ in found)
            room = self._limit - self._limit // 10
            if held > self._limit:
                for place, size, _ in found:
                    if held <= room:
                        break
                    place.unlink(missing_ok=True)
                    held -= size
            self._held = held

    def _all(self) -> list[tuple[Path, int, float]]:
        found: list[tuple[Path, int, float]] = []
        for number in range(256):
            with os.scandir(self._root / f"{number:02x}") as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        info = entry.stat(follow_symlinks=False)
                        found.append((Path(entry.path), info.st_size, info.st_mtime))
        return found

    def _drop_those_of_another_boot(self) -> None:
        boot = _boot.read_text("ascii").strip()
        note = self._root / ".boot"
        with suppress(FileNotFoundError):
            if note.read_text("ascii").strip() == boot:
                return
        for number in range(256):
            directory = self._root / f"{number:02x}"
            shutil.rmtree(directory)
            directory.mkdir(mode=0o700)
        note.write_text(boot, "ascii")
