"""Listening, and serving an ASGI application until told to stop."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, cast

import uvicorn

from dais.api.taking import Doorway, Taker
from dais.kit.errors import Invalid, Unavailable

BACKLOG = 2048
LOOK_SECONDS = 0.01
"""Between looks at what is under way while the server stops."""

log = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int, setting: str = "--port") -> socket.socket:
    """A listening socket; port 0 picks a free one. `setting` is where another port can be chosen.

    Raises Unavailable `port-in-use`, Invalid `bad-address`.
    """
    bare = host.strip("[]")
    try:
        family, _, _, _, address = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise Invalid(f"--host {host!r} is no address of this machine: {error}", code="bad-address") from error
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Every connection inherits it: else an answer's body waits 40 ms for the reader to acknowledge its head.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"port {port} on {host} is in use by another program; choose another with {setting} "
                "(0 picks a free one)",
                code="port-in-use",
                port=port,
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise Invalid(
                f"this user may not listen on port {port}; choose one above 1023 with {setting}",
                code="port-not-allowed",
                port=port,
            ) from error
        raise Invalid(f"cannot listen on {host} port {port}: {error.strerror}", code="bad-address") from error
    sock.setblocking(False)
    return sock


def url_of(sock: socket.socket) -> str:
    """The address that people and clients use for a listening socket."""
    host, port = sock.getsockname()[:2]
    if is_loopback(host):
        host = "localhost"
    elif ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    elif ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{port}"


def _websocket(**parts: Any) -> asyncio.Protocol:
    """What speaks WebSocket on a connection, imported with the first."""
    from dais.api.websocket import WebSocket

    return WebSocket(**parts)


class Server(uvicorn.Server):
    """uvicorn with signals left to the caller. `on_ready` is called once, when requests are answered.

    `takers` may take whole connections, the first of them first.
    """

    def __init__(
        self, app: Any, *, stop_seconds: float, on_ready: Callable[[], None], takers: Sequence[Taker] = ()
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http=cast(Any, partial(Doorway, takers=tuple(takers))),
                ws=cast(Any, _websocket),
                ws_per_message_deflate=False,
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=max(1, round(stop_seconds)),
            )
        )
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    async def run_until(self, sock: socket.socket, stop: asyncio.Event) -> None:
        """Serve on `sock` until `stop` is set, then let requests under way end."""
        self._stop = stop
        await self.serve(sockets=[sock])

    async def main_loop(self) -> None:
        """As uvicorn's, which looks ten times a second whether it is to stop; this one is told."""
        while not self._stop.is_set():
            await self.on_tick(0)  # the header `Date` goes on
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, which rests for a tenth of a second even when nothing is under way."""
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while (state.connections or state.tasks) and not self.force_exit:  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            log.warning("cut what was under way when the time to stop had passed", extra={"requests": len(state.tasks)})
            for task in state.tasks:
                task.cancel()
