"""Writing down what was refused: for the audit log, in a unit of its own, and not as often as somebody likes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from dais.identity import Actor, AuditSettings, record_refusal
from dais.kit.database import Database
from dais.kit.errors import DaisError, Forbidden

log = logging.getLogger(__name__)

MOST_ACTORS = 10_000
"""Actors whose refusals are counted; beyond it those that have been quiet longest are forgotten."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float
    omitted: int = 0


class Refusals:
    """Counts for every actor of this process. `now` is a clock in seconds that never goes back."""

    def __init__(
        self, db: Database, settings: AuditSettings | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._db = db
        self._most = (settings or AuditSettings()).refusals_per_minute
        self._now = now
        self._buckets: dict[str, _Bucket] = {}

    async def note(self, actor: Actor | None, error: BaseException) -> None:
        """Write down that the actor was refused something by the evaluator; other errors are not its business.

        What comes too often is only counted, and told with the next that is written. Never raises: whoever was refused
        is to hear why.
        """
        if actor is None or not isinstance(error, Forbidden) or "action" not in error.fields:
            return
        bucket = self._bucket(actor.id)
        if bucket.left < 1:
            bucket.omitted += 1
            return
        bucket.left -= 1
        omitted, bucket.omitted = bucket.omitted, 0
        try:
            await self._db.write(record_refusal, actor, error, omitted=omitted)
        except DaisError as failure:
            bucket.omitted += omitted + 1
            log.error("a refused attempt could not be written down: %s", failure, extra={"user": actor.id})

    def _bucket(self, actor_id: str) -> _Bucket:
        now = self._now()
        bucket = self._buckets.pop(actor_id, None)
        if bucket is None:
            if len(self._buckets) >= MOST_ACTORS:
                del self._buckets[next(iter(self._buckets))]
            bucket = _Bucket(float(self._most), now)
        bucket.left = min(float(self._most), bucket.left + (now - bucket.at) * self._most / 60)
        bucket.at = now
        self._buckets[actor_id] = bucket  # the last: it is forgotten last
        return bucket
