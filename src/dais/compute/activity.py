"""What people and programs do inside running jobs: what is open now, and when something last happened.

It lives in this process alone: whoever holds a stream open into a job says so here, and the idle detection of
interactive jobs asks. A job of which nothing is known has been quiet since the process began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from dais.kit.clock import Clock

ActivityKind = Literal["terminal", "exec", "connection", "kernel"]
"""A terminal somebody types in, a command, a connection to a port (an app, a forward, SSH), a kernel at work."""


@dataclass
class _Run:
    open: dict[ActivityKind, int] = field(default_factory=dict)
    last: dict[ActivityKind, int] = field(default_factory=dict)


class Activity:
    """By run and kind: how much is open, and when (microseconds since the epoch) something last happened."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: dict[str, _Run] = {}

    @contextmanager
    def open(self, run_id: str, kind: ActivityKind) -> Iterator[None]:
        """Something of this kind is open as long as the block lasts. Its beginning and its end are activity."""
        run = self._runs.setdefault(run_id, _Run())
        run.open[kind] = run.open.get(kind, 0) + 1
        self.note(run_id, kind)
        try:
            yield
        finally:
            run.open[kind] -= 1
            self.note(run_id, kind)

    def note(self, run_id: str, kind: ActivityKind) -> None:
        """Something happened just now: a key was typed, a request came, a cell ended."""
        self._runs.setdefault(run_id, _Run()).last[kind] = self._clock.now()

    def opened(self, run_id: str) -> Mapping[ActivityKind, int]:
        """How much is open now."""
        run = self._runs.get(run_id)
        return {kind: count for kind, count in run.open.items() if count} if run else {}

    def last(self, run_id: str) -> Mapping[ActivityKind, int]:
        """When something last happened."""
        run = self._runs.get(run_id)
        return dict(run.last) if run else {}

    def runs(self) -> set[str]:
        """Those of which something is known."""
        return set(self._runs)

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self._runs.pop(run_id, None)
