"""The supervisor's journal: what it accepted and what became of it, on disk before it is sent or spawned.

JSON lines. `accepted` comes before a spawn, `record` (started, ended) before a record is sent, `ack` when the server
has committed. A successor reads it: records without acknowledgement are sent again, attempts without an end are lost.
It guards against the death of the supervisor, not of the machine (which ends the containers as well): no fsync.
"""

from __future__ import annotations

import os

from dais.node.lean import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

COMPACT_ABOVE = 256 << 10


class Past:
    """What the journal of a predecessor tells."""

    def __init__(self) -> None:
        self.unfinished: dict[str, dict[str, Any]] = {}
        self.records: dict[int, dict[str, Any]] = {}
        self.seq = 0
        self.groups: list[tuple[str, dict[str, str]]] = []

    def apply(self, line: dict[str, Any]) -> None:
        kind = line.get("j")
        if kind == "accepted":
            self.unfinished[str(line["attempt_id"])] = line
        elif kind == "record":
            record = line["record"]
            self.records[record["seq"]] = record
            self.seq = max(self.seq, record["seq"])
            if record["kind"] == "ended":
                self.unfinished.pop(record["attempt_id"], None)
        elif kind == "cgroups" and line["bases"] and (line["version"], line["bases"]) not in self.groups:
            self.groups.append((line["version"], line["bases"]))
        elif kind == "ack":
            seq = line["seq"]
            self.seq = max(self.seq, seq)
            for known in [known for known in self.records if known <= seq]:
                del self.records[known]


class Journal:
    """An append-only file; a write that fails is taken back, so that no line is ever half there but the last."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)  # the umask decides, or the directory
        self._size = 0
        self._worth = COMPACT_ABOVE

    def load(self) -> Past:
        """Read what is there. Lines that cannot be read (torn by a kill or a full disk) are left out."""
        past = Past()
        with open(self._path, "rb") as file:
            for line in file:
                try:
                    past.apply(loads(line))
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue
        self._size = os.lseek(self._fd, 0, os.SEEK_END)
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            try:
                self._write(b"\n")
            except OSError:
                pass
        return past

    def append(self, lines: Iterable[bytes]) -> None:
        """Write lines (JSON objects) at once. Raises OSError with nothing written."""
        data = b"".join(line + b"\n" for line in lines)
        if data:
            self._write(data)

    def worth_compacting(self) -> bool:
        return self._size > self._worth

    def compact(self, lines: Iterable[bytes]) -> None:
        """Replace the journal by `lines`. A failure leaves the old one, and the next try waits for more growth."""
        temporary = self._path + ".new"
        try:
            fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
            old, self._fd, old_size, self._size = self._fd, fd, self._size, 0
            try:
                self.append(lines)
                os.rename(temporary, self._path)
            except OSError:
                self._fd, self._size = old, old_size
                os.close(fd)
                raise
            os.close(old)
        except OSError:
            pass
        self._worth = max(COMPACT_ABOVE, 2 * self._size)

    def _write(self, data: bytes) -> None:
        done = 0
        try:
            while done < len(data):
                done += os.pwrite(self._fd, data[done:] if done else data, self._size + done)
        except OSError:
            if done:
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(data)
