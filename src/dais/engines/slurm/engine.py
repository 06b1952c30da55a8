"""The Slurm engine: one allocation for each attempt, with the node supervisor inside.

Starts and ends are read from what the supervisors write on the shared file system; how Slurm sees it is asked for all
jobs at once. Nothing is inferred from a Slurm that does not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from dais.engines.contract import (
    Batch,
    ByteStream,
    ExecStream,
    Frame,
    Handle,
    HostTools,
    LaunchRefused,
    LaunchSpec,
    LogChunk,
    NodeInfo,
    Phase,
    RootFacts,
    Status,
    Terminal,
    Usage,
)
from dais.engines.mailbox import Mailbox
from dais.engines.slurm import program
from dais.engines.slurm.asking import Slurm, ask
from dais.engines.slurm.attempts import Attempts, Known
from dais.engines.slurm.commands import Failed, Unreachable
from dais.engines.slurm.host import NodeFacts, host_tools, image_problem, look_at_a_node
from dais.engines.slurm.options import SlurmOptions
from dais.engines.slurm.partition import Nodes
from dais.engines.slurm.reaching import Reach
from dais.engines.slurm.store import Store
from dais.engines.slurm.watching import Watch
from dais.engines.supervised.dialling import start_dial
from dais.engines.supervised.execution import start_exec
from dais.engines.supervised.remote import Remote
from dais.node import end, read

NO_LOG = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EACCES, errno.ENXIO)
"""What may be found where a log is not: nothing yet, or what a mapped user has put there."""


class SlurmEngine:
    """Runs attempts as jobs of Slurm. `directory` is the group's own, on a file system that the nodes see, too."""

    name = "slurm"

    def __init__(self, options: SlurmOptions, directory: Path, remote: Remote | None = None) -> None:
        self._options = options
        self._slurm = ask(options)
        place = Path(options.directory) if options.directory else directory
        self._store = Store(place, self._slurm.owner, options.own_directories)
        self._reach = Reach(remote, self._slurm, self._store)
        self._attempts = Attempts()
        self._mailbox = Mailbox()
        self._facts: NodeFacts | None = None
        self._nodes = Nodes(self._slurm, options)
        self._watch = Watch(options, self._slurm, self._store, self._reach, self._attempts, self._mailbox)

    @property
    def commands(self) -> Slurm:
        """What Slurm was asked, and how often."""
        return self._slurm

    @property
    def connected(self) -> bool:
        """Whether Slurm answered when it was asked last."""
        return self._watch.problem is None

    @property
    def lookahead(self) -> int:
        """Jobs that are handed to Slurm beyond those that fit, so that it fills a freed place at once."""
        if self._options.lookahead is not None:
            return self._options.lookahead
        return self._nodes.count + self._watch.ahead.count

    async def start(self) -> None:
        """Find what is there. Slurm itself may be away. Raises OSError where the shared directory is not to be used."""
        self._watch.submitter.program = await asyncio.to_thread(program.lay_down, self._store, self._slurm.owner)
        await self._reach.open()
        for found in await asyncio.to_thread(self._store.load):
            told = self._attempts.load(found)
            if told is not None:
                self._mailbox.post(told)
        self._watch.open()

    async def retire(self) -> None:
        """Nothing was started for the server alone."""

    async def close(self) -> None:
        await self._watch.close()
        self._reach.close()
        self._mailbox.interrupt()
        await asyncio.to_thread(self._slurm.close)

    async def launch(self, specs: Sequence[LaunchSpec]) -> list[Handle]:
        fresh: list[Known] = []
        for spec in specs:
            known = self._attempts.find(spec.attempt_id)
            if known is None:
                fresh.append(self._attempts.add(spec))
            elif known.unsure:
                known.spec = spec
        self._watch.submitter.python = (await self._node_facts()).python
        self._watch.submitter.longest = self._nodes.longest
        self._watch.submitter.add(fresh)
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
        if self._watch.submitter.take_back(known.attempt_id):
            self._watch.stopped_before(known)
            return
        if first:
            with contextlib.suppress(*([OSError] if known.unix else [])):  # the user has put something in its place
                await asyncio.to_thread(self._store.ask_stop, known.attempt_id, grace, reason)
        self._watch.ender.add(known)

    async def logs(self, handle: Handle, cursor: str | None, *, limit: int = 1 << 20) -> LogChunk:
        segment, offset = _read_cursor(cursor)
        # Looked at before reading: the end is told after the last output was written.
        status = self._attempts.get(handle["attempt_id"])
        found, segment, offset = await asyncio.to_thread(self._read, status.attempt_id, segment, offset, limit)
        frames = [Frame(at, stream, data) for at, stream, data in found]
        over = status.phase in (Phase.ENDED, Phase.LOST)
        return LogChunk(frames, f"{segment}:{offset}", eof=over and not frames, truncated=status.log_truncated)

    async def log_end(self, handle: Handle) -> str:
        segment, offset = await asyncio.to_thread(self._end, handle["attempt_id"])
        return f"{segment}:{offset}"

    def _read(
        self, attempt_id: str, segment: int, offset: int, limit: int
    ) -> tuple[list[tuple[int, int, bytes]], int, int]:
        """Blocking. What is no log of a supervisor's has nothing in it."""
        try:
            with self._store.log(attempt_id, segment, offset) as directory:
                return read(directory, segment, offset, limit)
        except OSError as error:
            if error.errno not in NO_LOG:
                raise
            return [], segment, offset

    def _end(self, attempt_id: str) -> tuple[int, int]:
        try:
            with self._store.log(attempt_id, 0, 0) as directory:
                return end(directory)
        except OSError as error:
            if error.errno not in NO_LOG:
                raise
            return 0, 0

    async def forget(self, handles: Sequence[Handle]) -> None:
        over = [handle["attempt_id"] for handle in handles if self._is_over(handle["attempt_id"])]
        for attempt_id in over:
            self._attempts.drop(attempt_id)
        self._watch.ender.forget(over)
        self._reach.forget(over)
        await asyncio.to_thread(self._store.remove, over)

    async def ended(self) -> list[Handle]:
        return [{"attempt_id": attempt_id} for attempt_id in self._attempts.ended()]

    async def nodes(self) -> list[NodeInfo]:
        """Slurm's nodes of the partition. Raises Unreachable."""
        facts = await self._node_facts()
        own = [known.seen for known in self._attempts.live() if known.seen]
        try:
            found = await self._nodes.look(own, facts)
        except (Unreachable, Failed) as error:
            self._watch.problem = str(error)
            raise Unreachable(str(error)) from error
        self._watch.problem = None
        return found

    async def host_tools(self) -> HostTools:
        return host_tools(await self._node_facts(), self._options, self._slurm.owner)

    async def add_root(self, path: str) -> RootFacts:
        """Let jobs start from an image by Apptainer: a SIF file that the nodes see, or a reference with a digest.

        It is fetched by the first job that starts from it. Raises LaunchRefused, OSError.
        """
        await self._node_facts()
        if not self._store.apptainer:
            raise LaunchRefused(
                "images need Apptainer on the nodes, where it was not found: install it there, or say where it is "
                "(--option apptainer=PATH), and attach the group anew"
            )
        if problem := await asyncio.to_thread(image_problem, path):
            raise LaunchRefused(problem)
        return RootFacts()

    async def remove_root(self, path: str) -> None:
        """What was fetched stays in the group's directory."""

    async def exec(
        self, handle: Handle, argv: Sequence[str], *, env: dict[str, str], workdir: str | None, pty: Terminal | None
    ) -> ExecStream:
        connector = await self._reach.to(self._running(handle))
        return await start_exec(connector, handle["attempt_id"], argv, env=env, workdir=workdir, pty=pty)

    async def dial(self, handle: Handle, port: int) -> ByteStream:
        connector = await self._reach.to(self._running(handle))
        return await start_dial(connector, handle["attempt_id"], port)

    async def usage(self, handles: Sequence[Handle]) -> list[Usage | None]:
        """What nodes have noted last, at most some seconds ago; None for what does not run."""
        running = [self._attempts.get(handle["attempt_id"]).phase is Phase.RUNNING for handle in handles]
        names = [handle["attempt_id"] if runs else None for handle, runs in zip(handles, running, strict=True)]
        return await asyncio.to_thread(lambda: [name and self._store.usage(name) for name in names])

    def _running(self, handle: Handle) -> Known:
        """Raises LookupError when it does not run."""
        known = self._attempts.find(handle["attempt_id"])
        if known is None or known.status.phase is not Phase.RUNNING:
            raise LookupError(f"attempt {handle['attempt_id']} does not run")
        return known

    def _is_over(self, attempt_id: str) -> bool:
        return self._attempts.get(attempt_id).phase in (Phase.ENDED, Phase.LOST)

    # -- beginning ---------------------------------------------------------------------------------------------

    async def _node_facts(self) -> NodeFacts:
        """What a node of the group can do, asked once. Raises LaunchRefused, OSError."""
        if self._facts is None:
            self._facts = await look_at_a_node(self._slurm, self._options, self._store, self._watch.submitter.program)
            self._store.apptainer = self._options.apptainer or self._facts.apptainer
        return self._facts


def _read_cursor(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    segment, _, offset = cursor.partition(":")
    if not (cursor.isascii() and segment.isdecimal() and offset.isdecimal()):
        raise ValueError(f"{cursor!r} is no log cursor; use one that logs() gave, or None for the beginning")
    return int(segment), int(offset)
