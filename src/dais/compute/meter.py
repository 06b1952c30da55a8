"""What running jobs use, over time: sampled while somebody watches, remembered by this process alone."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec

from dais.compute.jobs.types import Work
from dais.engines.contract import Usage
from dais.kit.clock import SECOND, Clock

SAMPLE_SECONDS = 2.0
"""The least time between two samples of a run, however many watch it."""
KEPT_SAMPLES = 1_800
"""Samples of one run that are remembered: an hour."""
KEPT_RUNS = 200
"""Runs whose samples are remembered, those that were watched last: about 30 MB if each was for an hour."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What a run used at an instant (µs): cores on average since the sample before, bytes, processes."""

    at: int
    cpu: float | None
    memory: int | None
    pids: int | None


@dataclass(slots=True)
class _Ring:
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=KEPT_SAMPLES))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    cpu_seconds: float | None = None
    asked: int = 0


class Meter:
    """Takes and keeps samples. `usage` asks the engine."""

    def __init__(self, usage: Callable[[Work], Awaitable[Usage | None]], clock: Clock) -> None:
        self._usage = usage
        self._clock = clock
        self._rings: OrderedDict[str, _Ring] = OrderedDict()

    async def watch(self, work: Work) -> list[Sample]:
        """The samples of a running job's run, with one of now. Raises Conflict `not-running`."""
        ring = self._rings.setdefault(work.run_id, _Ring())
        self._rings.move_to_end(work.run_id)
        while len(self._rings) > KEPT_RUNS:
            self._rings.popitem(last=False)
        async with ring.lock:
            now = self._clock.now()
            if now - ring.asked >= SAMPLE_SECONDS * SECOND * 0.9:
                used = await self._usage(work)
                if used is not None:
                    ring.samples.append(_sample(ring, used, now))
                ring.asked = now
        return list(ring.samples)

    def kept(self, run_id: str) -> list[Sample]:
        """What is remembered of a run, also after its end."""
        ring = self._rings.get(run_id)
        return list(ring.samples) if ring else []


def _sample(ring: _Ring, used: Usage, now: int) -> Sample:
    cpu = None
    if used.cpu_seconds is not None and ring.cpu_seconds is not None and now > ring.asked:
        cpu = max(0.0, used.cpu_seconds - ring.cpu_seconds) * SECOND / (now - ring.asked)
    ring.cpu_seconds = used.cpu_seconds
    return Sample(at=now, cpu=cpu, memory=used.memory, pids=used.pids)
