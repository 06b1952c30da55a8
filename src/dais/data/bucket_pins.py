"""How collection and uploads meet in a bucket, where nothing can be locked or touched.

Who is told that a content is there has written before, in an object of its own, that it stays (a pin); who collects
writes what is to go (a sweep), and then reads the pins again. So at least one of them sees the other: what is pinned is
not removed, and who sees its content in a sweep waits until that is over, and then looks whether it is there.

Whether a sweep was left by a crash is told by the bucket's own clock, for those of two machines may differ by more than
a sweep lasts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from dais.data.bucket import Bucket
from dais.data.hashing import PREFIX
from dais.kit.errors import Unavailable
from dais.kit.ids import new_id

PINNED_AGAIN = 3600.0
"""Seconds for which a pin is not written anew; they are added to the time for which one holds."""

SWEEP_SECONDS = 300.0
"""A sweep ends before; one that is older was left by a crash, and removes nothing any more."""

WAIT_SECONDS = 30.0
PAUSE_SECONDS = 0.2


class Pins:
    """The pins and sweeps of one bucket. For several threads and processes. Blocks, raises Unavailable."""

    def __init__(self, bucket: Bucket, now: Callable[[], float]) -> None:
        self._bucket = bucket
        self._now = now
        self._mine: dict[str, float] = {}
        self._lock = threading.Lock()

    def pin(self, digests: Iterable[str]) -> None:
        """Have contents stay for 24 hours, those that are not there included; wait while they are being removed."""
        wanted = set(digests)
        now = self._now()
        with self._lock:
            new = [digest for digest in wanted if now - self._mine.get(digest, 0) >= PINNED_AGAIN]
        if new:
            self._bucket.put(f"pins/{_stamp(now)}", _lines(new))
            with self._lock:
                if len(self._mine) > 1_000_000:
                    self._mine = {one: at for one, at in self._mine.items() if now - at < PINNED_AGAIN}
                self._mine.update((digest, now) for digest in new)
        waited = time.monotonic() + WAIT_SECONDS
        while not wanted.isdisjoint(self._swept()):
            if time.monotonic() > waited:
                raise Unavailable(
                    "what is uploaded is being removed from the object store just now; send it again in a minute",
                    code="store-busy",
                    retry_after=30,
                )
            time.sleep(PAUSE_SECONDS)

    def age(self, digest: str) -> float | None:
        """Seconds since this process pinned a content; None when it did not."""
        with self._lock:
            at = self._mine.get(digest)
        return None if at is None else self._now() - at

    def pinned(self, since: float, *, drop: bool = False) -> set[str]:
        """What was pinned after an instant. With `drop` older pins are removed."""
        old: list[str] = []
        found: set[str] = set()
        for one in self._bucket.list("pins"):
            if _time_of(one.key) < since:
                old.append(one.key)
            else:
                found |= self._named(one.key)
        if drop:
            self._bucket.delete(old)
        return found

    @contextmanager
    def sweep(self, digests: Collection[str]) -> Iterator[Callable[[], bool]]:
        """Say that these are to go; within the block, whether there is still time to remove them."""
        key = f"sweeps/{_stamp(self._now())}"
        begun = time.monotonic()
        self._bucket.put(key, _lines(digests))
        try:
            yield lambda: time.monotonic() - begun < SWEEP_SECONDS / 2
        finally:
            self._bucket.delete([key])

    def _swept(self) -> set[str]:
        """What is being removed."""
        sweeps = list(self._bucket.list("sweeps"))
        if not sweeps:
            return set()
        now = self._bucket_now()
        return {digest for one in sweeps if now - one.changed < SWEEP_SECONDS for digest in self._named(one.key)}

    def _bucket_now(self) -> float:
        """What the bucket's clock says, in seconds."""
        key = f"clock/{new_id()}"
        self._bucket.put(key, b"")
        try:
            found = self._bucket.look(key)
        finally:
            self._bucket.delete([key])
        return self._now() if found is None else found.changed

    def _named(self, key: str) -> set[str]:
        return {PREFIX + line for line in (self._bucket.get(key) or b"").decode("ascii").split()}


def _lines(digests: Iterable[str]) -> bytes:
    return "\n".join(digest.removeprefix(PREFIX) for digest in digests).encode("ascii")


def _stamp(now: float) -> str:
    return f"{int(now * 1000):013d}-{new_id()}"


def _time_of(key: str) -> float:
    """Seconds; 0 for a name that is none of ours."""
    number = key.rpartition("/")[2].partition("-")[0]
    return int(number) / 1000 if number.isdecimal() else 0.0
