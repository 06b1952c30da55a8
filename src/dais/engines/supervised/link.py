"""The control connection to a node supervisor, by whatever way it is reached, and again when it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from dais.engines.supervised.connector import Connector, SupervisorUnreachable
from dais.engines.supervised.frames import Message, pack, read_message
from dais.node import OLDEST

_log = logging.getLogger(__name__)

_first_delay, _longest_delay = 0.05, 5.0
"""Seconds between attempts to reach the supervisor."""


class Link:
    """Keeps one control connection; it is `ready` once the supervisor has said all that it knew before.

    `on_message` gets everything that the supervisor says, hello first; `on_ready` is called when the link is; `on_lost`
    when a link that was ready has ended. `timeout` is what `open` may take, in seconds.
    """

    def __init__(
        self,
        connector: Connector,
        *,
        timeout: float,
        on_message: Callable[[Message], None],
        on_ready: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._connector = connector
        self._timeout = timeout
        self._on_message = on_message
        self._on_ready = on_ready
        self._on_lost = on_lost
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = False
        self._problem = "it has not been connected yet"
        self._first: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Connect, and go on trying once that has succeeded. Raises SupervisorUnreachable when that fails."""
        self._first = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._keep(), name="node supervisor")
        try:
            await asyncio.wait_for(asyncio.shield(self._first), self._timeout)
        except TimeoutError:
            await self.close()
            raise SupervisorUnreachable(self._explain()) from None
        except SupervisorUnreachable:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect; the supervisor goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def ready(self) -> bool:
        return self._ready

    def check(self) -> asyncio.StreamWriter:
        """The connection. Raises SupervisorUnreachable while there is none."""
        if self._writer is None or not self._ready:
            raise SupervisorUnreachable(self._explain())
        return self._writer

    async def send(self, *frames: bytes) -> None:
        """Send whole frames; waits while the supervisor does not read. Raises SupervisorUnreachable."""
        writer = self.check()
        try:
            writer.writelines(frames)
            await writer.drain()
        except OSError as error:
            self._problem = str(error)
            raise SupervisorUnreachable(self._explain()) from error

    async def _keep(self) -> None:
        """Connect and serve, again and again; the pauses grow while it fails."""
        delay = _first_delay
        while True:
            try:
                reader, self._writer = await self._connector.reach()
                served = await self._serve(reader, self._writer)
            except (OSError, ValueError) as error:
                served = False
                self._problem = str(error) or type(error).__name__
                _log.warning("the node supervisor cannot be reached: %s", self._problem)
                if self._first is not None and not self._first.done():
                    self._first.set_exception(SupervisorUnreachable(self._explain()))
            finally:
                await self._disconnect()
            delay = _first_delay if served else min(2 * delay, _longest_delay)
            await asyncio.sleep(delay)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Say hello and pass on what comes, until the connection ends. Returns whether it got as far as ready.

        The answer to the ping follows hello and every record that the supervisor had kept.
        """
        writer.write(pack({"op": "hello", "protocol": OLDEST}) + pack({"op": "ping"}))
        served = False
        while (message := await read_message(reader)) is not None:
            if message.op == "error":
                self._refused(message, served)
            self._on_message(message)
            if message.op == "pong" and not served:
                served = self._ready = True
                self._on_ready()
                if self._first is not None and not self._first.done():
                    self._first.set_result(None)
        self._problem = "it closed the connection"
        return served

    def _refused(self, message: Message, served: bool) -> None:
        """The supervisor understood us and will not: before it has greeted us, that is the end of this connection."""
        if not served:
            raise ValueError(message.message)
        _log.warning("the node supervisor refused a request: %s", message.message)

    async def _disconnect(self) -> None:
        was_ready, self._ready = self._ready, False
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                pass
        if was_ready:
            self._on_lost()

    def _explain(self) -> str:
        return self._connector.explain(self._problem)
