"""What must reach the server: numbered records, in the journal before they are sent, kept until acknowledged."""

from __future__ import annotations

import time

from dais.node.wireframes import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from dais.node.journal import Journal, Past
    from dais.node.loop import Loop

RETRY_SECONDS = 1.0


class Record:
    """One numbered record of an attempt, and its JSON: written and sent as it is, any number of times."""

    __slots__ = ("attempt_id", "body", "seq")

    def __init__(self, document: dict[str, Any]) -> None:
        self.seq: int = document["seq"]
        self.attempt_id: str = document["attempt_id"]
        self.body = dumps(document)

    def line(self) -> bytes:
        """As it stands in the journal."""
        return b'{"j":"record","record":' + self.body + b"}"


class Records:
    """The numbered records of this supervisor and what is left of its predecessors'."""

    def __init__(self, loop: Loop, journal: Journal, past: Past) -> None:
        self._loop = loop
        self._journal = journal
        self.kept = {seq: Record(document) for seq, document in past.records.items()}
        self._seq = past.seq
        self._fresh: list[Record] = []
        self._resend: list[Record] = []
        self._unwritten: list[Record] = []
        self._retrying = False

    def add(self, document: dict[str, Any]) -> None:
        """Number a record; it is written and sent at the end of the turn."""
        self._seq += 1
        record = self.kept[self._seq] = Record({"seq": self._seq, **document})
        self._fresh.append(record)

    def again(self, attempt_ids: set[str]) -> None:
        """Send the unacknowledged records of these attempts once more."""
        if attempt_ids:
            new = {record.seq for record in self._fresh}
            kept = self.kept.values()
            self._resend += [old for old in kept if old.attempt_id in attempt_ids and old.seq not in new]

    def flush(self) -> list[Record]:
        """Write what is new to the journal; returns what is to be sent now.

        When the journal cannot be written (a full disk) the records are sent all the same, kept, and written later.
        """
        told, self._resend = self._resend, []
        if self._fresh:
            fresh, self._fresh = self._fresh, []
            self._unwritten += fresh
            self._write()
            told += fresh
        return told

    def acknowledge(self, seq: int) -> None:
        """The server has committed everything up to `seq`."""
        done = [number for number in self.kept if number <= seq]
        for number in done:
            del self.kept[number]
        self._unwritten = [record for record in self._unwritten if record.seq > seq]
        self._seq = max(self._seq, seq)
        if done:
            try:
                self._journal.append([dumps({"j": "ack", "seq": seq})])
            except OSError:
                pass  # the records come again after a restart, and the server knows them already

    def lines(self) -> Iterable[bytes]:
        """What a compacted journal must hold of them."""
        yield dumps({"j": "ack", "seq": min(self.kept, default=self._seq + 1) - 1})
        for record in self.kept.values():
            yield record.line()

    def _write(self) -> None:
        try:
            self._journal.append(record.line() for record in self._unwritten)
        except OSError:
            if not self._retrying:
                self._retrying = True
                self._loop.later(RETRY_SECONDS, self._retry)
        else:
            self._unwritten = []

    def _retry(self) -> None:
        self._retrying = False
        self._write()


class Idle:
    """Tells when nobody has needed the supervisor for long enough."""

    def __init__(self, seconds: float, needed: Callable[[], bool]) -> None:
        self._seconds = seconds
        self._needed = needed
        self._since = time.monotonic()

    def over(self) -> bool:
        if self._needed():
            self._since = time.monotonic()
        return time.monotonic() - self._since >= self._seconds


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
