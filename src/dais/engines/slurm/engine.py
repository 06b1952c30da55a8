"""The Slurm engine: one allocation for each attempt, with the node supervisor inside.

Starts and ends are read from what the supervisors write on the shared file system; how Slurm sees it is asked for all
jobs at once. Nothing is inferred from a Slurm that does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from dais.engines.contract import (
    Batch,
    Frame,
    Handle,
    HostTools,
    LaunchSpec,
    LogChunk,
    NodeInfo,
    Phase,
    Status,
)
from dais.engines.mailbox import Mailbox
from dais.engines.slurm import program
from dais.engines.slurm.attempts import Attempts, Known, doubtful, verdict
from dais.engines.slurm.commands import Commands, Failed, Unreachable
from dais.engines.slurm.ending import Ender
from dais.engines.slurm.host import NodeFacts, host_tools, look_at_a_node
from dais.engines.slurm.nodes import Nodes
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.queue import Job, look, look_back
from dais.engines.slurm.store import Store
from dais.engines.slurm.submitting import Submitter
from dais.engines.supervised.seccomp import filter_program
from dais.node import end, read
from dais.node.seccomp import store as store_filter

_log = logging.getLogger(__name__)

NEWS_SECONDS = 0.2
"""How often the directory is looked at in which nodes leave word."""
_longest_pause = 60.0


class SlurmEngine:
    """Runs attempts as jobs of Slurm. `directory` is the group's own, on a file system that the nodes see, too."""

    name = "slurm"

    def __init__(self, options: SlurmOptions, directory: Path) -> None:
        self._options = options
        self._commands = Commands(options)
        self._store = Store(Path(options.directory) if options.directory else directory, self._commands.owner)
        self._attempts = Attempts()
        self._mailbox = Mailbox()
        self._facts: NodeFacts | None = None
        self._nodes = Nodes(self._commands, options)
        self._submitter = Submitter(
            self._commands, options, self._store, on_refused=self._refused, on_unknown=lambda _: self._ask()
        )
        self._ender = Ender(self._commands, self._ask)
        self._tasks: list[asyncio.Task[None]] = []
        self._asked = asyncio.Event()
        self._problem: str | None = "it has not been asked yet"

    @property
    def commands(self) -> Commands:
        """What Slurm was asked, and how often."""
        return self._commands

    @property
    def connected(self) -> bool:
        """Whether Slurm answered when it was asked last."""
        return self._problem is None

    @property
    def lookahead(self) -> int:
        """Jobs that are handed to Slurm beyond those that fit, so that it fills a freed place at once."""
        return self._nodes.count if self._options.lookahead is None else self._options.lookahead

    async def start(self) -> None:
        """Find what is there. Slurm itself may be away. Raises OSError where the shared directory is not to be used."""
        await asyncio.to_thread(self._lay_down)
        for found in await asyncio.to_thread(self._store.load):
            told = self._attempts.load(found)
            if told is not None:
                self._mailbox.post(told)
        self._submitter.open()
        self._tasks = [
            asyncio.create_task(self._for_ever("the queue", self._round), name="slurm queue"),
            asyncio.create_task(self._for_ever("what nodes tell", self._hear), name="slurm news"),
            asyncio.create_task(self._for_ever("stopping", self._ender.work), name="slurm stops"),
        ]

    async def retire(self) -> None:
        """Nothing was started for the server alone."""

    async def close(self) -> None:
        await self._submitter.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._mailbox.interrupt()
        self._commands.close()

    async def launch(self, specs: Sequence[LaunchSpec]) -> list[Handle]:
        fresh: list[Known] = []
        for spec in specs:
            known = self._attempts.find(spec.attempt_id)
            if known is None:
                fresh.append(self._attempts.add(spec))
            elif known.unsure:
                known.spec = spec
        self._submitter.python = (await self._node_facts()).python
        self._submitter.add(fresh)
        return [{"attempt_id": spec.attempt_id} for spec in specs]

    async def poll(self, handles: Sequence[Handle]) -> list[Status]:
        return [self._attempts.get(handle["attempt_id"]) for handle in handles]

    def watch(self) -> AsyncIterator[Batch]:
        return self._mailbox.batches()

    async def acknowledge(self, batch: Batch) -> None:
        self._mailbox.acknowledge(batch)
        over = [status.attempt_id for status in batch.statuses if status.phase in (Phase.ENDED, Phase.LOST)]
        kept = [attempt_id for attempt_id in over if self._attempts.find(attempt_id) is not None]
        if kept:
            await asyncio.to_thread(self._store.told, kept)

    async def stop(self, handle: Handle, *, grace: float, reason: str) -> None:
        known = self._attempts.find(handle["attempt_id"])
        if known is None or known.over:
            return
        first = known.stop_reason is None
        known.stop_reason = known.stop_reason or reason
        known.stop_by = known.stop_by or time.monotonic() + grace
        if self._submitter.take_back(known.attempt_id):
            self._stopped_before(known)
            return
        if first:
            await asyncio.to_thread(self._store.ask_stop, known.attempt_id, grace, reason)
        self._ender.add(known)

    async def logs(self, handle: Handle, cursor: str | None, *, limit: int = 1 << 20) -> LogChunk:
        segment, offset = _read_cursor(cursor)
        # Looked at before reading: the end is told after the last output was written.
        status = self._attempts.get(handle["attempt_id"])
        directory = self._store.log(status.attempt_id)
        found, segment, offset = await asyncio.to_thread(read, directory, segment, offset, limit)
        frames = [Frame(at, stream, data) for at, stream, data in found]
        over = status.phase in (Phase.ENDED, Phase.LOST)
        return LogChunk(frames, f"{segment}:{offset}", eof=over and not frames, truncated=status.log_truncated)

    async def log_end(self, handle: Handle) -> str:
        segment, offset = await asyncio.to_thread(end, self._store.log(handle["attempt_id"]))
        return f"{segment}:{offset}"

    async def forget(self, handles: Sequence[Handle]) -> None:
        over = [handle["attempt_id"] for handle in handles if self._is_over(handle["attempt_id"])]
        for attempt_id in over:
            self._attempts.drop(attempt_id)
        self._ender.forget(over)
        await asyncio.to_thread(self._store.remove, over)

    async def ended(self) -> list[Handle]:
        return [{"attempt_id": attempt_id} for attempt_id in self._attempts.ended()]

    async def nodes(self) -> list[NodeInfo]:
        """Slurm's nodes of the partition. Raises Unreachable."""
        facts = await self._node_facts()
        return await self._nodes.look([known.seen for known in self._attempts.live() if known.seen], facts)

    async def host_tools(self) -> HostTools:
        return host_tools(await self._node_facts(), self._options, self._commands.owner)

    # -- hearing -----------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        """Read what nodes have left word of."""
        for attempt_id in await asyncio.to_thread(self._store.news):
            await self._read(attempt_id)
        await asyncio.sleep(NEWS_SECONDS)

    async def _read(self, attempt_id: str) -> None:
        known = self._attempts.find(attempt_id)
        if known is None or known.over:
            return
        records = await asyncio.to_thread(self._store.records, attempt_id)
        known.unsure = known.unsure and not records
        told = self._attempts.tell(known, records)
        if told is not None:
            self._mailbox.post(told)
        if known.stop_reason is not None:
            self._ender.add(known)
        if known.record is not None and doubtful(known.record):
            self._ask()

    # -- asking ------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Look at the queue soon."""
        self._asked.set()

    async def _round(self) -> None:
        """Ask Slurm about everything that is not over, once."""
        if self._attempts.live():
            began = time.monotonic()
            self._asked.clear()
            try:
                jobs = await look(self._commands)
            except (Unreachable, Failed) as error:
                self._problem = str(error)
                raise
            self._problem = None
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
            if known is not None and known.job in (None, job.job):
                by_attempt[job.attempt_id] = job
        gone: list[Known] = []
        for known in self._attempts.live():
            found = by_attempt.get(known.attempt_id)
            if found is not None:
                await self._seen(known, found)
            elif known.unsure:
                self._never_taken(known)
            elif known.job is not None:
                gone.append(known)
        if gone:
            await self._look_back(gone)

    async def _seen(self, known: Known, job: Job) -> None:
        """Slurm knows its job."""
        known.seen = job
        if known.job is None:
            known.job, known.unsure, known.spec = job.job, False, None
            await asyncio.to_thread(self._store.submitted, known.attempt_id, job.job)
        if job.node and known.status.node != job.node:
            known.set(node=job.node)
        if job.over:
            await self._finish(known, job.state, settled=not job.node, why=job.reason)
            return
        known.gone_at = None
        if known.stop_reason is not None:
            self._ender.add(known)
        if job.waiting:
            known.set(phase=Phase.QUEUED, detail=f"waits in Slurm: {job.reason or 'no reason is given'}")
        elif known.status.phase is Phase.QUEUED:
            known.set(phase=Phase.STARTING, detail=None)
            await self._read(known.attempt_id)

    def _never_taken(self, known: Known) -> None:
        """Slurm has no job of it: hand it over, if somebody has launched it again, or say that nobody knows it."""
        known.unsure = False
        if known.stop_reason is not None:
            self._stopped_before(known)
        elif known.spec is not None:
            self._submitter.add([known])
        else:
            self._attempts.drop(known.attempt_id)
            self._mailbox.post(self._attempts.get(known.attempt_id))

    async def _look_back(self, gone: Sequence[Known]) -> None:
        """Jobs that have left the queue: most have told their end meanwhile."""
        for known in gone:
            await self._read(known.attempt_id)
        left = [known for known in gone if not known.over and known.job is not None]
        states = await look_back(self._commands, [str(known.job) for known in left]) if left else {}
        for known in left:
            await self._finish(known, states.get(str(known.job), ""), settled=False, why="")

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
            asyncio.get_running_loop().call_later(min(1.0, self._options.settle / 4), self._ask)
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
        self._end(known, phase=Phase.ENDED, reason="launch-failed", detail=f"Slurm refuses the job: {why}")

    def _stopped_before(self, known: Known) -> None:
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

    def _is_over(self, attempt_id: str) -> bool:
        return self._attempts.get(attempt_id).phase in (Phase.ENDED, Phase.LOST)

    # -- beginning ---------------------------------------------------------------------------------------------

    def _lay_down(self) -> None:
        """Everything that nodes need. Blocking."""
        self._store.make()
        self._submitter.program = program.install(self._store.directory, self._commands.owner)
        store_filter(str(self._store.directory), filter_program())
        self._store.give(self._store.directory / "seccomp.bpf")

    async def _node_facts(self) -> NodeFacts:
        """What a node of the group can do, asked once. Raises LaunchRefused, OSError."""
        if self._facts is None:
            self._facts = await look_at_a_node(self._commands, self._options, self._store, self._submitter.program)
        return self._facts

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


def _read_cursor(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    segment, _, offset = cursor.partition(":")
    if not (cursor.isascii() and segment.isdecimal() and offset.isdecimal()):
        raise ValueError(f"{cursor!r} is no log cursor; use one that logs() gave, or None for the beginning")
    return int(segment), int(offset)


def _now() -> int:
    return time.time_ns() // 1000
