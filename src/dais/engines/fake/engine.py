"""The fake engine: the contract, kept in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from dais.engines.contract import (
    FRAME_HEAD,
    NEVER_ACCEPTED,
    Batch,
    ByteStream,
    CommandNotFound,
    ExecStream,
    Frame,
    Handle,
    HostTools,
    LaunchRefused,
    LaunchSpec,
    LogChunk,
    NodeInfo,
    Phase,
    Status,
    Terminal,
    Usage,
)
from dais.engines.fake.dialling import FakeEcho
from dais.engines.fake.execution import FakeExec
from dais.engines.fake.machine import FakeMachine
from dais.engines.fake.script import UnknownCommand, parse


class FakeEngine:
    """Speaks for a `FakeMachine`; closing it and opening another one is what a restarted server does."""

    name = "fake"

    def __init__(self, machine: FakeMachine) -> None:
        self._machine = machine

    async def start(self) -> None:
        self._machine.check_reachable()
        self._machine.mailbox.interrupt()

    async def retire(self) -> None:
        """Nothing was started for it."""

    async def close(self) -> None:
        self._machine.mailbox.interrupt()

    async def launch(self, specs: Sequence[LaunchSpec]) -> list[Handle]:
        self._machine.launch(specs)
        return [{"attempt_id": spec.attempt_id} for spec in specs]

    async def poll(self, handles: Sequence[Handle]) -> list[Status]:
        self._machine.check_reachable()
        return [self._status(handle["attempt_id"]) for handle in handles]

    def watch(self) -> AsyncIterator[Batch]:
        return self._machine.mailbox.batches()

    async def acknowledge(self, batch: Batch) -> None:
        self._machine.mailbox.acknowledge(batch)

    async def stop(self, handle: Handle, *, grace: float, reason: str) -> None:
        self._machine.stop(handle["attempt_id"], grace, reason)

    async def logs(self, handle: Handle, cursor: str | None, *, limit: int = 1 << 20) -> LogChunk:
        self._machine.check_reachable()
        _, offset = _read_cursor(cursor)
        container = self._machine.container(handle["attempt_id"])
        if container is None:
            return LogChunk([], f"0:{offset}", eof=True)
        frames: list[Frame] = []
        start = taken = 0
        for frame in container.frames:
            if start >= offset and taken < limit:
                frames.append(frame)
                taken += len(frame.data)
                offset = start + FRAME_HEAD + len(frame.data)
            start += FRAME_HEAD + len(frame.data)
        eof = container.over and not frames
        return LogChunk(frames, f"0:{offset}", eof=eof, truncated=container.status.log_truncated)

    async def log_end(self, handle: Handle) -> str:
        self._machine.check_reachable()
        container = self._machine.container(handle["attempt_id"])
        frames = container.frames if container is not None else []
        return f"0:{sum(FRAME_HEAD + len(frame.data) for frame in frames)}"

    async def forget(self, handles: Sequence[Handle]) -> None:
        self._machine.forget([handle["attempt_id"] for handle in handles])

    async def ended(self) -> list[Handle]:
        self._machine.check_reachable()
        return [{"attempt_id": attempt_id} for attempt_id in self._machine.ended()]

    async def nodes(self) -> list[NodeInfo]:
        self._machine.check_reachable()
        return list(self._machine.nodes)

    async def host_tools(self) -> HostTools:
        self._machine.check_reachable()
        return self._machine.host

    async def exec(
        self, handle: Handle, argv: Sequence[str], *, env: dict[str, str], workdir: str | None, pty: Terminal | None
    ) -> ExecStream:
        self._machine.check_reachable()
        container = self._machine.container(handle["attempt_id"])
        if container is None or container.status.phase is not Phase.RUNNING:
            raise LookupError(f"attempt {handle['attempt_id']} does not run")
        try:
            steps = parse(argv)
        except UnknownCommand as error:
            raise CommandNotFound(str(error)) from error
        except ValueError as error:
            raise LaunchRefused(str(error)) from error
        return FakeExec(container, steps, env)

    async def dial(self, handle: Handle, port: int) -> ByteStream:
        self._machine.check_reachable()
        container = self._machine.container(handle["attempt_id"])
        if container is None or container.status.phase is not Phase.RUNNING:
            raise LookupError(f"attempt {handle['attempt_id']} does not run")
        if port not in container.ports:
            raise ConnectionRefusedError(f"nothing in attempt {handle['attempt_id']} listens on port {port}")
        return FakeEcho(container)

    async def usage(self, handles: Sequence[Handle]) -> list[Usage | None]:
        self._machine.check_reachable()
        running = set(self._machine.running())
        one = Usage(memory=1 << 20, memory_peak=1 << 20, cpu_seconds=0.0, pids=1)
        return [one if handle["attempt_id"] in running else None for handle in handles]

    def _status(self, attempt_id: str) -> Status:
        status = self._machine.status(attempt_id)
        if status is not None:
            return status
        return Status(attempt_id=attempt_id, phase=Phase.LOST, detail=NEVER_ACCEPTED)


def _read_cursor(cursor: str | None) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    index, _, offset = cursor.partition(":")
    if not (cursor.isascii() and index.isdecimal() and offset.isdecimal()):
        raise ValueError(f"{cursor!r} is no log cursor; use one that logs() gave, or None for the beginning")
    return int(index), int(offset)
