"""What one user may ask of one server process: requests and submits in a minute, streams and uploads at a time.

Counted in memory: a limit that many requests run into must not cost them a statement. So with several servers each one
allows this much. Requests and submits are counted by buckets that fill evenly: whoever was quiet for a minute may send
a minute's worth at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from dais.api.settings import LimitSettings
from dais.kit.errors import TooMany
from dais.wire.units import short_size

MOST_BUCKETS = 10_000
"""Users whose buckets are kept; those that are full again are forgotten first."""
COME_BACK_SECONDS = 5.0
"""When to ask again for what ends when others end."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


@dataclass(slots=True)
class _Open:
    """What a user has under way."""

    streams: int = 0
    uploads: int = 0
    bytes: int = 0


class UserLimits:
    """Counts for every user of this process. `now` is a clock in seconds that never goes back."""

    def __init__(self, settings: LimitSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._now = now
        self._requests: dict[str, _Bucket] = {}
        self._submits: dict[str, _Bucket] = {}
        self._logins: dict[str, _Bucket] = {}
        self._codes: dict[str, _Bucket] = {}
        self._open: dict[str, _Open] = {}
        self._lock = threading.Lock()  # uploads are counted by other threads, too

    def request(self, user_id: str) -> None:
        """Count a request. Raises TooMany `too-many-requests`."""
        self._take(self._requests, user_id, self._settings.requests_per_minute, "request")

    def submit(self, user_id: str) -> None:
        """Count a submit. Raises TooMany `too-many-submits`."""
        self._take(self._submits, user_id, self._settings.submits_per_minute, "submit")

    def login(self, address: str) -> None:
        """Count a sign-in that begins at an address. Raises TooMany `too-many-logins`."""
        self._take(self._logins, address, self._settings.logins_per_minute, "login")

    def code(self, user_id: str) -> None:
        """Count a code of a waiting machine that a user tries. Raises TooMany `too-many-codes`."""
        self._take(self._codes, user_id, self._settings.codes_per_minute, "code")

    @contextmanager
    def stream(self, user_id: str) -> Iterator[None]:
        """Hold a stream (events, a log that is followed, a WebSocket) open. Raises TooMany `too-many-streams`."""
        limit = self._settings.streams
        with self._lock:
            mine = self._open.get(user_id) or _Open()
            if limit and mine.streams >= limit:
                _refuse(f"you have {limit:,} streams open", "too-many-streams", limit, "close some", COME_BACK_SECONDS)
            mine.streams += 1
            self._open[user_id] = mine
        try:
            yield
        finally:
            with self._lock:
                mine.streams -= 1
                self._close(user_id, mine)

    @contextmanager
    def upload(self, user_id: str, size: int) -> Iterator[None]:
        """Take an upload of so many bytes. Raises TooMany `too-many-uploads`, `too-many-upload-bytes`."""
        limit, most = self._settings.uploads, self._settings.upload_bytes
        with self._lock:
            mine = self._open.get(user_id) or _Open()
            if limit and mine.uploads >= limit:
                _refuse(f"you have {limit:,} uploads under way", "too-many-uploads", limit, "wait for some", 1.0)
            if most and mine.bytes and mine.bytes + size > most:  # a large one alone is taken
                under_way = f"uploads of {short_size(mine.bytes)} under way, and at most {short_size(most)}"
                _refuse(f"you have {under_way}", "too-many-upload-bytes", most, "wait", 1.0)
            mine.uploads += 1
            mine.bytes += size
            self._open[user_id] = mine
        try:
            yield
        finally:
            with self._lock:
                mine.uploads -= 1
                mine.bytes -= size
                self._close(user_id, mine)

    def _close(self, user_id: str, mine: _Open) -> None:
        if not (mine.streams or mine.uploads):
            self._open.pop(user_id, None)

    def _take(self, buckets: dict[str, _Bucket], user_id: str, limit: int, what: str) -> None:
        if not limit:
            return
        now = self._now()
        bucket = buckets.get(user_id)
        if bucket is None:
            if len(buckets) >= MOST_BUCKETS:
                self._forget_full(buckets, limit, now)
            buckets[user_id] = _Bucket(limit - 1.0, now)
            return
        left = min(float(limit), bucket.left + (now - bucket.at) * limit / 60)
        bucket.at = now
        bucket.left = left if left < 1 else left - 1
        if left < 1:
            wait = (1 - left) * 60 / limit
            _refuse(f"you have sent {limit:,} {what}s in a minute", f"too-many-{what}s", limit, "slow down", wait)

    @staticmethod
    def _forget_full(buckets: dict[str, _Bucket], limit: int, now: float) -> None:
        full = [user for user, one in buckets.items() if one.left + (now - one.at) * limit / 60 >= limit]
        for user in full:
            del buckets[user]


def _refuse(what: str, code: str, limit: int, remedy: str, wait: float) -> NoReturn:
    seconds = max(0.001, wait)
    shown = f"{math.ceil(seconds)} s" if seconds >= 1 else "a moment"
    raise TooMany(
        f"{what}, which is the limit; {remedy}, and come back in {shown}", code=code, limit=limit, retry_after=seconds
    )
