"""Counting requests by route and status, on the event loop: plain numbers, for `/metrics` to read."""

from __future__ import annotations

from dais.kit.meters import Histogram


class RouteMeter:
    """The answers of one route. Those that go on for long (streams, WebSockets) are counted, and not timed."""

    __slots__ = ("method", "path", "seconds", "statuses", "streams", "timed")

    def __init__(self, method: str, path: str, *, timed: bool = True) -> None:
        self.method = method
        self.path = path
        self.timed = timed
        self.seconds = Histogram()
        self.statuses: dict[int, int] = {}
        self.streams = 0
        """How many are under way now."""

    def __enter__(self) -> None:
        self.streams += 1

    def __exit__(self, *_: object) -> None:
        self.streams -= 1

    def note(self, status: int, seconds: float) -> None:
        """One request was answered; status 499: the client went away before it was."""
        status = status or 499
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if self.timed:
            self.seconds.note(seconds)


class RequestMeter:
    """The meters of all routes."""

    def __init__(self) -> None:
        self.routes: list[RouteMeter] = []
        self.unrouted = self.of("", "(none)")
        """Requests for what there is not."""

    def of(self, method: str, path: str, *, timed: bool = True) -> RouteMeter:
        """A new meter for a route."""
        made = RouteMeter(method, path, timed=timed)
        self.routes.append(made)
        return made
