"""Engines as the contract suite sees them: what to run on each, and how to restart, move time on and break it."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from dais.engines.contract import (
    NEVER_ACCEPTED,
    STDERR,
    STDOUT,
    SYSTEM,
    Batch,
    Bind,
    Engine,
    ExecStream,
    Frame,
    Handle,
    HostTools,
    LaunchSpec,
    Phase,
    Status,
)
from dais.engines.fake import FakeEngine, FakeMachine
from dais.engines.local import LocalEngine, LocalSettings
from dais.engines.supervised.connector import open_socket
from dais.engines.supervised.frames import pack, read_message
from dais.kit.ids import new_id
from dais.node import PROTOCOL
from tests.support.needs import needs_bwrap

PATIENCE = 60.0
"""Seconds after which something that should happen counts as not happening."""

OVER = (Phase.ENDED, Phase.LOST)

Step = tuple[str, ...]
"""What a container does, in no engine's words: ("exit", "3"), ("print", "text"), …"""

ECHO = """
%where = (LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], ReuseAddr => 1);
$server = IO::Socket::INET->new(Listen => 64, %where) or die $!;
exit if fork;
$SIG{CHLD} = "IGNORE";
while ($one = $server->accept) {
    if (fork) { close $one; next }
    while (sysread($one, $data, 65536)) {
        for ($done = 0; $done < length $data; $done += $count) {
            $count = syswrite($one, $data, length($data) - $done, $done) // exit;
        }
    }
    exit;
}
"""
"""Listens, and goes on in the background: what is sent comes back. In Perl, which every Debian has."""


class Harness(ABC):
    """One kind of engine on one machine; server objects come and go on it."""

    name: str

    def make(self) -> Engine:
        """An engine that has not been started."""
        raise NotImplementedError

    @abstractmethod
    async def open(self) -> Engine:
        """A started engine. The one before must be closed, as a server that ended would leave it."""

    @abstractmethod
    def argv(self, *steps: Step) -> tuple[str, ...]:
        """The command that does these steps."""

    @abstractmethod
    async def pass_time(self, seconds: float) -> None:
        """Let this time pass for the containers; where it passes by itself, nothing."""

    @abstractmethod
    async def crash(self) -> None:
        """What runs the containers is killed, as the kernel would."""

    @abstractmethod
    async def close(self) -> None:
        """End everything that still runs."""

    def unstartable(self) -> dict[str, Any]:
        """Fields of a spec that cannot be started."""
        raise NotImplementedError

    def spec(self, *steps: Step, **fields: Any) -> LaunchSpec:
        """A spec with an id of its own that does these steps."""
        fields.setdefault("attempt_id", new_id())
        fields.setdefault("env", {"PATH": "/usr/local/bin:/usr/bin:/bin"})
        fields.setdefault("argv", self.argv(*steps))
        return LaunchSpec(**fields)


class FakeHarness(Harness):
    name = "fake"

    def __init__(self) -> None:
        self.machine = FakeMachine()

    async def open(self) -> Engine:
        engine = FakeEngine(self.machine)
        await engine.start()
        return engine

    def argv(self, *steps: Step) -> tuple[str, ...]:
        words: list[str] = []
        for step in steps:
            words += [";", *step] if words else step
        return tuple(words)

    def unstartable(self) -> dict[str, Any]:
        return {"argv": ("exit", "not-a-number")}

    async def pass_time(self, seconds: float) -> None:
        self.machine.advance(seconds)

    async def crash(self) -> None:
        self.machine.crash()

    async def close(self) -> None:
        self.machine.mailbox.interrupt()


def shell(*steps: Step) -> tuple[str, ...]:
    """The steps as a script for the shell."""
    lines = []
    for step in steps:
        match step:
            case ("exit", code):
                lines.append(f"exit {code}")
            case ("print", text):
                lines.append(f"printf '%s\\n' {shlex.quote(text)}")
            case ("error", text):
                lines.append(f"printf '%s\\n' {shlex.quote(text)} >&2")
            case ("hex", digits):
                lines.append("printf '" + "".join(f"\\{byte:03o}" for byte in bytes.fromhex(digits)) + "'")
            case ("sleep", seconds):
                lines.append(f"sleep {seconds}")
            case ("sleep-forever",):
                lines.append("while :; do sleep 1000; done")
            case ("trap-term",):
                lines.append("trap '' TERM")
            case ("signal", number):
                lines.append(f"kill -{number} $$")
            case ("oom",):
                lines.append("exec tail /dev/zero")
            case ("cat",):
                lines.append("cat")
            case ("env", name):
                lines.append(f"printf '%s\\n' \"${name}\"")
            case ("echo", port):
                lines.append(f"perl -MIO::Socket::INET -e {shlex.quote(ECHO)} {port}")
            case _:
                lines.append(shlex.join(step))
    return ("/bin/sh", "-c", "\n".join(lines))


class Watcher:
    """Follows `watch()`: keeps every status told, acknowledges batches unless told not to.

    That an attempt was never accepted is no end of it: it may be launched again, as the dispatcher does.
    """

    def __init__(self, engine: Engine, *, acknowledges: bool = True) -> None:
        self.told: dict[str, list[Status]] = {}
        self.batches: list[Batch] = []
        self._engine = engine
        self._acknowledges = acknowledges
        self._changed = asyncio.Condition()
        self._failure: BaseException | None = None
        self.finished = False
        """Whether `watch()` has ended."""

    async def follow(self) -> None:
        try:
            async for batch in self._engine.watch():
                async with self._changed:
                    self.batches.append(batch)
                    for status in batch.statuses:
                        if status.detail != NEVER_ACCEPTED:
                            self.told.setdefault(status.attempt_id, []).append(status)
                    self._changed.notify_all()
                if self._acknowledges:
                    await self._engine.acknowledge(batch)
            self.finished = True
        except Exception as error:
            async with self._changed:
                self._failure = error
                self._changed.notify_all()
            raise

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was told fulfils the condition."""
        try:
            async with asyncio.timeout(PATIENCE), self._changed:
                await self._changed.wait_for(lambda: self._failure is not None or condition())
        except TimeoutError:
            raise AssertionError(f"not told within {PATIENCE} s; told so far: {self.told}") from None
        if self._failure is not None:
            raise AssertionError("the watcher failed") from self._failure

    async def phase(self, attempt_id: str, *phases: Phase) -> Status:
        """The newest status of an attempt, once it is in one of these phases."""
        await self.until(lambda: self.newest(attempt_id) is not None and self._phase_of(attempt_id) in phases)
        status = self.newest(attempt_id)
        assert status is not None
        return status

    async def running(self, attempt_id: str) -> Status:
        status = await self.phase(attempt_id, Phase.RUNNING, *OVER)
        assert status.phase is Phase.RUNNING, status
        return status

    async def over(self, attempt_id: str) -> Status:
        return await self.phase(attempt_id, *OVER)

    def newest(self, attempt_id: str) -> Status | None:
        return self.told[attempt_id][-1] if attempt_id in self.told else None

    def _phase_of(self, attempt_id: str) -> Phase | None:
        status = self.newest(attempt_id)
        return status.phase if status else None


@asynccontextmanager
async def watching(engine: Engine, *, acknowledges: bool = True) -> AsyncIterator[Watcher]:
    """A watcher of the engine, for as long as the block lasts."""
    watcher = Watcher(engine, acknowledges=acknowledges)
    task = asyncio.create_task(watcher.follow())
    try:
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def eventually(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask until it is so; for states that nobody tells."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await condition():  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {PATIENCE} s") from None


async def read_log(engine: Engine, handle: Handle, *, limit: int = 1 << 20) -> list[Frame]:
    """The whole log of a container that has ended, page by page."""
    frames: list[Frame] = []
    cursor: str | None = None
    while True:
        chunk = await engine.logs(handle, cursor, limit=limit)
        frames += chunk.frames
        cursor = chunk.cursor
        if chunk.eof:
            return frames
        assert chunk.frames, "a page without frames and without an end"


def output(frames: Sequence[Frame], stream: int = STDOUT) -> bytes:
    """What one stream carried."""
    return b"".join(frame.data for frame in frames if frame.stream == stream)


async def printed(engine: Engine, handle: Handle, text: bytes) -> None:
    """Wait until a running container has printed this."""

    async def there() -> bool:
        return text in output((await engine.logs(handle, None)).frames)

    await eventually(there, f"{text!r} in the log")


async def drain(stream: ExecStream) -> tuple[bytes, bytes, int]:
    """What a command prints until it ends (stdout, stderr), and its exit code."""
    taken = {STDOUT: b"", STDERR: b"", SYSTEM: b""}
    async with asyncio.timeout(PATIENCE):
        while not isinstance(item := await stream.receive(), int):
            taken[item[0]] += item[1]
    return taken[STDOUT], taken[STDERR], item


class LocalHarness(Harness):
    """The local engine on a node directory of its own."""

    def __init__(self, directory: Path, isolation: Literal["sandbox", "process"], **settings: Any) -> None:
        self.name = f"local-{isolation}"
        self.node_dir = directory / "node"
        self._settings = LocalSettings(isolation=isolation, **settings)
        self._engine: LocalEngine | None = None
        self._host: HostTools | None = None

    def make(self) -> LocalEngine:
        self._engine = LocalEngine(self.node_dir, self._settings)
        return self._engine

    async def open(self) -> LocalEngine:
        self._engine = self.make()
        await self._engine.start()
        self._host = await self._engine.host_tools()
        return self._engine

    def argv(self, *steps: Step) -> tuple[str, ...]:
        return shell(*steps)

    def spec(self, *steps: Step, **fields: Any) -> LaunchSpec:
        assert self._host is not None, "open the engine first"
        host = self._host
        user = {"lease": True} if host.lease else {"uid": host.uid, "gid": host.gid}
        return super().spec(*steps, **{**user, "isolation": host.isolation, **fields})

    def unstartable(self) -> dict[str, Any]:
        return {"binds": (Bind(source=str(self.node_dir / "absent"), target="/mnt/absent"),)}

    async def pass_time(self, seconds: float) -> None:
        pass

    async def crash(self) -> None:
        assert self._engine is not None
        assert self._engine.supervisor_pid is not None
        os.kill(self._engine.supervisor_pid, signal.SIGKILL)

    async def close(self) -> None:
        try:
            reader, writer = await open_socket(self.node_dir)
        except OSError:
            return
        try:
            writer.write(pack({"op": "hello", "protocol": PROTOCOL}) + pack({"op": "shutdown", "kill": True}))
            async with asyncio.timeout(PATIENCE):
                while await read_message(reader) is not None:
                    pass
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)


def make_harness(kind: str, directory: Path) -> Harness:
    """A harness by its name; skips where the machine cannot run it."""
    if kind == "fake":
        return FakeHarness()
    if kind == "local-process":
        return LocalHarness(directory, "process")
    needs_bwrap()
    return LocalHarness(directory, "sandbox")


@pytest.fixture
async def engine(harness: Harness) -> AsyncIterator[Engine]:
    """A started engine on the machine."""
    opened = await harness.open()
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def watcher(engine: Engine) -> AsyncIterator[Watcher]:
    """Follows the engine and acknowledges what it tells."""
    async with watching(engine) as follower:
        yield follower
