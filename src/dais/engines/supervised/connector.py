"""Ways to a node supervisor: what a link and its commands need of each, and the one on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from dais.engines.contract import ByteStream
from dais.engines.supervised.streams import PlainStream
from dais.node import connect
from dais.node.streams import CHUNK, ask_for_socket

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class SupervisorUnreachable(ConnectionError):
    """The node supervisor does not answer; `args[0]` says why and where its own log is."""


class Connector(Protocol):
    """A way to one supervisor. Each connection is one to its socket; all raise OSError when it cannot be reached."""

    async def reach(self) -> Streams:
        """A connection for the link, making the supervisor serve first where that is possible."""
        ...

    async def open(self) -> Streams:
        """One more connection."""
        ...

    async def dial(self, request: bytes) -> tuple[bytes, ByteStream | None]:
        """Send a `dial` frame on a connection of its own: the answer's body, and the stream if it was granted."""
        ...

    def explain(self, problem: str) -> str:
        """A sentence for people about a supervisor that does not answer because of this."""
        ...


async def open_socket(node_dir: Path) -> Streams:
    """A new connection to the supervisor's socket. Raises OSError when none listens."""
    connection = connect(str(node_dir))
    try:
        connection.setblocking(False)
        return await asyncio.open_unix_connection(sock=connection)
    except BaseException:
        connection.close()
        raise


class LocalConnector:
    """The supervisor of a directory on this machine. `starter` starts one (blocking; raises OSError)."""

    def __init__(self, node_dir: Path, *, timeout: float, starter: Callable[[], None]) -> None:
        self._node_dir = node_dir
        self._timeout = timeout
        self._starter = starter

    async def open(self) -> Streams:
        return await open_socket(self._node_dir)

    async def dial(self, request: bytes) -> tuple[bytes, ByteStream | None]:
        answer, dialled = await ask_for_socket(str(self._node_dir), request)
        if dialled is None:
            return answer, None
        return answer, PlainStream(*await asyncio.open_connection(sock=dialled, limit=2 * CHUNK))

    async def reach(self) -> Streams:
        """A connection to the supervisor that runs, or to a new one.

        A new one gives way to one that is just ending, so it is started again while nobody listens.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        while True:
            try:
                return await self.open()
            except (FileNotFoundError, ConnectionRefusedError):
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.to_thread(self._starter)
            connection = await self._when_listening()
            if connection is not None:
                return connection

    async def _when_listening(self) -> Streams | None:
        """A supervisor listens a moment after it was started; None when it does not."""
        pause = 0.005
        while pause < 1:
            try:
                return await self.open()
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(pause)
                pause *= 1.5
        return None

    def explain(self, problem: str) -> str:
        log = self._node_dir / "supervisor.log"
        try:
            words = log.read_text(errors="replace").strip().splitlines()[-3:]
        except OSError:
            words = []
        said = f"; it said: {' / '.join(words)}" if words else ""
        return f"the node supervisor of {self._node_dir} does not answer ({problem}){said}; its log is {log}"
