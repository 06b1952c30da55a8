"""Ids of requests, and what is logged of them: those that failed or were slow, and as many others as is asked for."""

from __future__ import annotations

import logging
from itertools import count
from secrets import token_hex

from dais.api.meter import RouteMeter
from dais.api.settings import ServerSettings
from dais.kit.logging import request_in_hand

log = logging.getLogger(__name__)


class RequestIds:
    """Short names of requests, which no other process gives out."""

    def __init__(self) -> None:
        self._process = token_hex(4)
        self._count = count(1)

    def next(self) -> str:
        """The id of the request that begins now; what is logged meanwhile carries it."""
        made = f"{self._process}-{next(self._count):x}"
        request_in_hand.set(made)
        return made


class AccessLog:
    """Logs by route, never by address: paths and queries may hold what nobody should read."""

    def __init__(self, settings: ServerSettings | None) -> None:
        settings = settings or ServerSettings()
        self._slow = settings.slow_seconds or float("inf")
        self._every = settings.access_log
        self._seen = 0

    def note(self, meter: RouteMeter, status: int, seconds: float, request_id: str, user_id: str | None) -> None:
        """A request has been answered."""
        if self._every:
            self._seen += 1
        slow = seconds > self._slow and meter.timed
        if not (slow or status >= 500 or (self._every and self._seen % self._every == 0)):
            return
        log.log(
            logging.WARNING if slow or status == 500 else logging.INFO,
            "a slow request" if slow else "request",
            extra={
                "request": request_id,
                "method": meter.method,
                "route": meter.path,
                "status": status or 499,
                "ms": round(seconds * 1000, 3),
                "user": user_id,
            },
        )
