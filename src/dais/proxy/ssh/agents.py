"""Forwarded agents (`ssh -A`): a socket inside the job, each connection of which goes back to the client's agent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from typing import TYPE_CHECKING

import asyncssh

from dais.compute import Work, program, run_program
from dais.engines.contract import STDOUT, ExecStream
from dais.kit.errors import DaisError

if TYPE_CHECKING:
    from dais.proxy.ssh.connection import Connection

log = logging.getLogger(__name__)

BEGUN, DATA, ENDED = range(3)
MOST = 32
LARGEST_FRAME = 64 << 10
CHUNK = 32 << 10
START_SECONDS = 20.0
END_SECONDS = 2.0
_head = struct.Struct(">IBI")


class AgentRelay:
    """The program in the job, and its connections. `path` is its socket there, once `start` has returned."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stream: ExecStream | None = None
        self._task: asyncio.Task[None] | None = None
        self._writers: dict[int, asyncio.Queue[bytes | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()
        self.path = ""

    async def start(self, work: Work) -> None:
        """Raises DaisError when the job cannot run it, TimeoutError when it does not begin."""
        self._stream = await run_program(self._connection.visit.compute, work, program("agent"))
        have = b""
        async with asyncio.timeout(START_SECONDS):
            while b"\n" not in have:
                have += await self._more()
        path, _, rest = have.partition(b"\n")
        self.path = path.decode()
        self._task = asyncio.get_running_loop().create_task(self._run(rest))

    async def close(self) -> None:
        """End the program, which takes its socket away."""
        for task in (*self._tasks, *([self._task] if self._task else [])):
            task.cancel()
        await asyncio.gather(*self._tasks, *([self._task] if self._task else []), return_exceptions=True)
        if self._stream is None:
            return
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._stream.send_eof()
                while not isinstance(await self._stream.receive(), int):
                    pass
        except (TimeoutError, OSError):
            pass
        finally:
            await self._stream.close()

    async def _more(self) -> bytes:
        assert self._stream is not None
        while True:
            item = await self._stream.receive()
            if isinstance(item, int):
                raise ConnectionError(f"it ended with {item}")
            if item[0] == STDOUT:
                return item[1]

    async def _run(self, rest: bytes) -> None:
        have = bytearray(rest)
        try:
            while True:
                while len(have) >= _head.size:
                    number, what, size = _head.unpack_from(have)
                    if size > LARGEST_FRAME:
                        raise ConnectionError("a frame of it is too large")
                    if len(have) < _head.size + size:
                        break
                    data = bytes(have[_head.size : _head.size + size])
                    del have[: _head.size + size]
                    await self._frame(number, what, data)
                have += await self._more()
        except (ConnectionError, OSError) as error:
            log.debug("a forwarded agent ended: %s", error)

    async def _frame(self, number: int, what: int, data: bytes) -> None:
        if what == BEGUN and number not in self._writers and len(self._writers) < MOST:
            self._writers[number] = asyncio.Queue(8)
            task = asyncio.get_running_loop().create_task(self._converse(number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif what == BEGUN:
            await self._tell(number, ENDED)
        elif (queue := self._writers.get(number)) is not None:
            # One that does not read holds the others up only until it is cut.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS):
                    await queue.put(data if what == DATA else None)

    async def _converse(self, number: int) -> None:
        """One connection: a channel to the client's agent."""
        try:
            reader, writer = await self._connection.open_agent_connection()
            outward = asyncio.get_running_loop().create_task(self._outward(number, writer))
            try:
                while data := await reader.read(CHUNK):
                    await self._tell(number, DATA, data)
            finally:
                outward.cancel()
                await asyncio.gather(outward, return_exceptions=True)
                writer.close()
        except (asyncssh.Error, OSError) as error:
            log.debug("a connection to a forwarded agent ended: %s", error)
        finally:
            self._writers.pop(number, None)
            with contextlib.suppress(OSError):
                await self._tell(number, ENDED)

    async def _outward(self, number: int, writer: asyncssh.SSHWriter[bytes]) -> None:
        queue = self._writers[number]
        while (data := await queue.get()) is not None:
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    async def _tell(self, number: int, what: int, data: bytes = b"") -> None:
        assert self._stream is not None
        async with self._sending:
            await self._stream.send(_head.pack(number, what, len(data)) + data)


async def agent_of(connection: Connection, work: Work) -> AgentRelay | None:
    """The relay of a connection; None where the job cannot have one: then there is no agent, and the rest goes on."""
    relay = AgentRelay(connection)
    try:
        await relay.start(work)
    except (DaisError, OSError, TimeoutError) as error:
        log.info("an agent could not be forwarded into job %s: %s", work.job_id, error)
        await relay.close()
        return None
    return relay
