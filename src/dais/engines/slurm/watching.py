"""Learning what became of attempts: from what nodes write, and from Slurm, which is asked about all at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from dais.engines.contract import Phase, Status
from dais.engines.mailbox import Mailbox
from dais.engines.slurm.ahead import Ahead
from dais.engines.slurm.asking import Slurm
from dais.engines.slurm.attempts import Attempts, Known, doubtful, verdict
from dais.engines.slurm.commands import Failed, Unreachable
from dais.engines.slurm.ending import Ender
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.queue import Job
from dais.engines.slurm.reaching import Reach
from dais.engines.slurm.store import Store
from dais.engines.slurm.submitting import Submitter

_log = logging.getLogger(__name__)

NEWS_SECONDS, SOON_SECONDS = 0.2, 0.05
"""How often the directory is looked at in which nodes leave word: usually, and behind runs that are hardly longer."""
SILENT_SECONDS = 35.0
"""How long a node may write nothing that should write every ten seconds."""
_longest_pause = 60.0


class Watch:
    """Keeps the attempts up to date and tells the mailbox. `problem` is why Slurm does not answer, while it does not.

    `submitter` hands launches over, `ender` ends jobs, `ahead` counts short runs.
    """

    def __init__(
        self,
        options: SlurmOptions,
        slurm: Slurm,
        store: Store,
        reach: Reach,
        attempts: Attempts,
        mailbox: Mailbox,
    ) -> None:
        self._options = options
        self._slurm = slurm
        self._store = store
        self._attempts = attempts
        self._mailbox = mailbox
        self._asked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.problem: str | None = None
        self.submitter = Submitter(
            slurm, options, store, reach, on_refused=self._refused, on_unknown=lambda _: self.ask()
        )
        self.ender = Ender(slurm, self.ask)
        self.ahead = Ahead()

    def open(self) -> None:
        self.submitter.open()
        self._tasks = [
            asyncio.create_task(self._for_ever("the queue", self._round), name="slurm queue"),
            asyncio.create_task(self._for_ever("what nodes tell", self._hear), name="slurm news"),
            asyncio.create_task(self._for_ever("stopping", self.ender.work), name="slurm stops"),
        ]

    async def close(self) -> None:
        await self.submitter.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- hearing -----------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Read what nodes have left word of."""
        if self._attempts.live():
            news = await asyncio.to_thread(self._store.news)
            for attempt_id, records in news.items():
                self._tell(attempt_id, records)
        await asyncio.sleep(SOON_SECONDS if self.ahead.count else NEWS_SECONDS)

    async def _read(self, attempt_id: str) -> None:
        self._tell(attempt_id, await asyncio.to_thread(self._store.records, attempt_id))

    def _tell(self, attempt_id: str, records: Sequence[dict[str, Any]]) -> None:
        """Take in what a node has written of an attempt."""
        known = self._attempts.find(attempt_id)
        if known is None or known.over:
            return
        known.unsure = known.unsure and not records
        told = self._attempts.tell(known, records)
        if told is not None:
            self.ahead.see(told)
            self._mailbox.post(told)
        if known.stop_reason is not None:
            self.ender.add(known)
        if known.record is not None and doubtful(known.record):
            self.ask()

    # -- asking ------------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Look at the queue soon."""
        self._asked.set()

    async def _round(self) -> None:
        """Ask Slurm about everything that is not over, once."""
        if self._attempts.live():
            began = time.monotonic()
            self._asked.clear()
            try:
                jobs = await self._slurm.jobs(sorted({known.unix for known in self._attempts.live() if known.unix}))
            except (Unreachable, Failed) as error:
                self.problem = str(error)
                raise
            self.problem = None
            await self._compare(jobs, began)
        pause = self._options.interval
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._asked.wait()
            await asyncio.sleep(min(1.0, pause / 5))  # several that ask at once are one question

    async def _compare(self, jobs: Sequence[Job], began: float) -> None:
        """What Slurm says, with what is known."""
        by_attempt: dict[str, Job] = {}
        for job in jobs:
            known = self._attempts.find(job.attempt_id)
            # Of two jobs with one attempt, that which was handed over by somebody who died has lost its launch.
            # And anybody may name a job after an attempt: it is the user whose the attempt is that counts.
            if known is not None and known.job in (None, job.job) and known.unix == job.user:
                by_attempt[job.attempt_id] = job
        gone: list[Known] = []
        for known in self._attempts.live():
            found = by_attempt.get(known.attempt_id)
            if found is not None:
                await self._seen(known, found)
            elif known.handed_at >= began:
                continue  # handed over while the queue was looked at
            elif known.unsure:
                await self._never_taken(known)
            elif known.job is not None:
                gone.append(known)
        if gone:
            await self._look_back(gone)

    async def _seen(self, known: Known, job: Job) -> None:
        """Slurm knows its job."""
        known.seen = job
        if known.job is None:
            known.job, known.unsure = job.job, False
            await asyncio.to_thread(self._store.submitted, known.attempt_id, job.job)
        if known.over:
            return  # its node has told its end since Slurm was asked
        if job.node and known.status.node != job.node:
            known.set(node=job.node)
        if job.over:
            await self._finish(known, job.state, settled=not job.node, why=job.reason)
            return
        known.gone_at = None
        if known.stop_reason is not None:
            self.ender.add(known)
        if job.waiting:
            known.set(phase=Phase.QUEUED, detail=f"waits in Slurm: {job.reason or 'no reason is given'}")
        elif known.status.phase is Phase.QUEUED:
            known.set(phase=Phase.STARTING, detail=None)
            await self._read(known.attempt_id)

    async def _never_taken(self, known: Known) -> None:
        """Slurm has no job of it: hand it over, if somebody has launched it again, or say that nobody knows it."""
        known.unsure = False
        if known.stop_reason is not None:
            self.stopped_before(known)
        elif known.spec is not None:
            self.submitter.add([known])
        else:
            self._attempts.drop(known.attempt_id)
            await asyncio.to_thread(self._store.remove, [known.attempt_id])  # should its job still come, it ends
            self._mailbox.post(self._attempts.get(known.attempt_id))

    async def _look_back(self, gone: Sequence[Known]) -> None:
        """Jobs that have left the queue: most have told their end meanwhile."""
        for known in gone:
            await self._read(known.attempt_id)
        left = [known for known in gone if not known.over]
        jobs = {known.attempt_id: known.job for known in left if known.job is not None}
        states = await self._slurm.ends(jobs) if jobs else {}
        for known in left:
            state = states.get(known.attempt_id)
            if state is not None:
                await self._finish(known, state, settled=False, why="")
            elif await asyncio.to_thread(self._store.was_taken, known.attempt_id):
                if known.record is not None or not await self._lives(known):
                    await self._finish(known, "", settled=False, why="")
            else:
                known.job = known.seen = None
                await self._never_taken(known)

    async def _lives(self, known: Known) -> bool:
        """Whether the node of a job that Slurm has forgotten still writes: a controller may lose its newest jobs."""
        sign, now = await asyncio.to_thread(self._store.sign, known.attempt_id), time.monotonic()
        if known.sign is None or known.sign[0] != sign:
            known.sign = (sign, now)
        return now - known.sign[1] < SILENT_SECONDS

    async def _finish(self, known: Known, state: str, *, settled: bool, why: str) -> None:
        """Slurm says that its job is over; what its node has written counts, once it is here."""
        await self._read(known.attempt_id)
        if known.over:
            return
        now = time.monotonic()
        known.gone_at = known.gone_at or now
        if known.record is not None:
            self._post(self._attempts.conclude(known, **verdict(known, state, _now())), kept=True)
            return
        if not settled and now - known.gone_at < self._options.settle:
            asyncio.get_running_loop().call_later(min(1.0, self._options.settle / 4), self.ask)
            return
        fields = verdict(known, state, _now())
        if fields["phase"] is Phase.LOST and known.status.started_at is None and state in ("FAILED", "COMPLETED", ""):
            taken = await asyncio.to_thread(self._store.was_taken, known.attempt_id)
            if not taken:  # nothing of it has run
                said = await asyncio.to_thread(self._store.said, known.attempt_id)
                words = f"the node supervisor could not be started: {said or why or state}"
                fields = {"phase": Phase.ENDED, "reason": "launch-failed", "detail": words}
        self._end(known, **fields)

    # -- ending ------------------------------------------------------------------------------------------------

    def _refused(self, known: Known, why: str) -> None:
        """Slurm will not take it."""
        self._end(known, phase=Phase.ENDED, reason="launch-failed", detail=why)

    def stopped_before(self, known: Known) -> None:
        """It was to end before Slurm had it."""
        words = "stopped before it was started"
        self._end(known, phase=Phase.ENDED, reason="stopped", stop_reason=known.stop_reason, detail=words)

    def _end(self, known: Known, **fields: object) -> None:
        self._post(known.set(**({"ended_at": _now()} | fields)), kept=True)

    def _post(self, status: Status, *, kept: bool) -> None:
        """Tell it; an end that only we know is kept for the next server first."""
        if kept:
            with contextlib.suppress(FileNotFoundError):
                self._store.ended(status)
        self._mailbox.post(status)

    async def _for_ever(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            try:
                await step()
                failures = 0
                continue
            except (OSError, Failed) as error:
                _log.log(logging.WARNING if not failures else logging.DEBUG, "%s of Slurm: %s", what, error)
            except Exception:
                _log.exception("%s of Slurm", what)
            failures += 1
            await asyncio.sleep(min(_longest_pause, self._options.interval * 2 ** min(failures - 1, 6)))


def _now() -> int:
    return time.time_ns() // 1000
