"""The attempts of one engine, in memory and on disk, and how they come to their ends."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import msgspec

from dais.engines.container.memory import Memory
from dais.engines.container.outcome import Facts, outcome
from dais.engines.container.store import Kept, Stop, Store
from dais.engines.contract import NEVER_ACCEPTED, TOLD_BEFORE, LaunchSpec, Phase, Status
from dais.engines.mailbox import Mailbox

OVER = (Phase.ENDED, Phase.LOST)


@dataclass
class Attempt:
    """One that was accepted. `spec` is there until its container was started; `begun` once one was asked for."""

    kept: Kept
    status: Status
    spec: LaunchSpec | None = None
    stop: Stop | None = None
    told: bool = False
    begun: bool = False
    out_of_memory: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    timer: asyncio.TimerHandle | None = None

    @property
    def id(self) -> str:
        return self.kept.attempt_id

    @property
    def over(self) -> bool:
        return self.status.phase in OVER

    def stopping(self) -> bool:
        """Whether it is to end."""
        return self.stop is not None


class Attempts:
    """What is known of each; every change is kept before it is told."""

    def __init__(self, store: Store, memory: Memory, mailbox: Mailbox, node: str) -> None:
        self.store = store
        self.memory = memory
        self._mailbox = mailbox
        self._node = node
        self._known: dict[str, Attempt] = {}

    def all(self) -> list[Attempt]:
        return list(self._known.values())

    def get(self, attempt_id: str) -> Attempt | None:
        return self._known.get(attempt_id)

    def status(self, attempt_id: str) -> Status:
        known = self._known.get(attempt_id)
        return known.status if known else Status(attempt_id=attempt_id, phase=Phase.LOST, detail=NEVER_ACCEPTED)

    async def load(self) -> None:
        """What the servers before have kept. Ends that were not acknowledged are told again."""
        for attempt_id in await asyncio.to_thread(self.store.names):
            kept, stop, end, told = await asyncio.to_thread(self.store.load, attempt_id)
            if kept is None:
                await asyncio.to_thread(self.store.remove, attempt_id)
                continue
            status = end or Status(attempt_id=attempt_id, phase=Phase.STARTING, node=self._node)
            if end is not None and told:
                status = msgspec.structs.replace(end, detail=TOLD_BEFORE)
            self._known[attempt_id] = Attempt(kept, status, stop=stop, told=told, begun=True)
            if end is not None and not told:
                self._mailbox.post(end)

    async def accept(self, spec: LaunchSpec, kit: str, user: tuple[int, int]) -> Attempt:
        kept = Kept(attempt_id=spec.attempt_id, limits=spec.limits, gpus=spec.gpus, kit=kit, user=user)
        status = Status(attempt_id=spec.attempt_id, phase=Phase.QUEUED, node=self._node)
        attempt = self._known[spec.attempt_id] = Attempt(kept, status, spec=spec)
        await asyncio.to_thread(self.store.accept, kept, user)
        return attempt

    async def created(self, attempt: Attempt, container: str) -> None:
        """It has a container, which has not run yet."""
        attempt.kept.container = container
        await asyncio.to_thread(self.store.keep, attempt.kept)

    def running(self, attempt: Attempt, facts: Facts, isolation: tuple[str, ...], missing: tuple[str, ...]) -> None:
        attempt.spec = None
        if attempt.over or attempt.status.phase is Phase.RUNNING:
            return
        attempt.status = msgspec.structs.replace(
            attempt.status,
            phase=Phase.RUNNING,
            started_at=facts.started_at or now(),
            isolation=isolation,
            missing=missing,
        )
        self._mailbox.post(attempt.status)

    async def asked_to_stop(self, attempt: Attempt, stop: Stop) -> Stop:
        """Keep that it is to end: the first cause and reason count, and the last number of seconds."""
        if attempt.stop is not None:
            stop = msgspec.structs.replace(stop, cause=attempt.stop.cause, reason=attempt.stop.reason)
        attempt.stop = stop
        await asyncio.to_thread(self.store.stop, attempt.id, stop)
        return stop

    async def ended(self, attempt: Attempt, facts: Facts | None) -> None:
        """Its container runs no more, or is gone."""
        report = await asyncio.to_thread(self.store.report, attempt.id)
        if attempt.out_of_memory and facts is not None:
            facts = Facts(False, facts.exit_code, True, facts.error, facts.started_at, facts.ended_at, facts.words)
        before = attempt.status
        if report is None:
            logged = await asyncio.to_thread(self.store.logged, attempt.id)
            before = msgspec.structs.replace(before, log_bytes=logged)
        end = outcome(before, report, facts, attempt.stop, attempt.kept.limits.memory, now())
        await self._over(attempt, end)

    async def failed(self, attempt: Attempt, reason: str, detail: str) -> None:
        """Nothing of it has run, and nothing will."""
        stopped = attempt.stop is not None
        end = msgspec.structs.replace(
            attempt.status,
            phase=Phase.ENDED,
            reason="stopped" if stopped else reason,
            stop_reason=attempt.stop.reason if attempt.stop is not None else None,
            detail="stopped before it was started" if stopped else detail,
            ended_at=now(),
        )
        await self._over(attempt, end)

    async def _over(self, attempt: Attempt, end: Status) -> None:
        if attempt.over:
            return
        await asyncio.to_thread(self.store.end, end)
        attempt.status = end
        attempt.spec = None
        if attempt.timer is not None:
            attempt.timer.cancel()
        await asyncio.to_thread(self.memory.remove, attempt.id)
        self._mailbox.post(end)

    async def acknowledged(self, attempt_ids: list[str]) -> None:
        """Their ends are committed."""
        for attempt_id in attempt_ids:
            attempt = self._known.get(attempt_id)
            if attempt is not None and attempt.over and not attempt.told:
                attempt.told = True
                await asyncio.to_thread(self.store.told, attempt_id)

    async def drop(self, attempt: Attempt) -> None:
        """Nothing is known of it any more."""
        self._known.pop(attempt.id, None)
        await asyncio.to_thread(self.memory.remove, attempt.id)
        await asyncio.to_thread(self.store.remove, attempt.id)


def now() -> int:
    """µs since the epoch."""
    return time.time_ns() // 1000
