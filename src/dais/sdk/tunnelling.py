"""One connection to a port inside a job: the WebSocket's handshake, and the tunnel over it."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from urllib.parse import quote, urlsplit

from dais.sdk.errors import BadAnswer, DaisError, Unreachable
from dais.sdk.target import ANSWER_TIMEOUT, CONNECT_TIMEOUT, Target, is_loopback
from dais.sdk.websocket import check_answer, mask, no_mask, read_head, upgrade
from dais.wire.tunnel import Tunnel


def new_tunnel(target: Target) -> Tunnel:
    """A client's end of a connection; give it to `connect`."""
    parts = urlsplit(target.url)
    hidden = parts.scheme == "https" or is_loopback(parts.hostname or "")
    return Tunnel(mask=no_mask if hidden else mask)


async def connect(target: Target, path: str, tunnel: Tunnel) -> tuple[asyncio.Transport, bytes]:
    """Open the WebSocket at a path for a tunnel: its transport, and what has come after the handshake.

    Reading is paused. Raises the typed error of a refusal, Unreachable, BadAnswer.
    """
    parts = urlsplit(target.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    key = base64.b64encode(os.urandom(16)).decode("ascii")
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context() if secure else None
    transport: asyncio.Transport | None = None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            transport, answer = await loop.create_connection(
                _Answer, host, parts.port or (443 if secure else 80), ssl=context
            )
        transport.write(upgrade(target, path, key))
        async with asyncio.timeout(ANSWER_TIMEOUT):
            status, headers, rest = await answer.whole
    except (OSError, TimeoutError) as error:
        if transport is not None:
            transport.abort()
        raise unreachable(target, error, sent=transport is not None) from error
    except BaseException:
        if transport is not None:
            transport.abort()
        raise
    try:
        check_answer(target, status, headers, rest, key)
    except DaisError:
        transport.abort()
        raise
    transport.pause_reading()
    transport.set_protocol(tunnel)
    return transport, rest


def port_path(ref: str, port: int | str, account: str | None) -> str:
    """Where a port of a job is reached."""
    query = f"?account={quote(account, safe='')}" if account else ""
    return f"/v1/jobs/{quote(ref, safe='')}/ports/{quote(str(port), safe='')}{query}"


def unreachable(target: Target, error: Exception, *, sent: bool) -> DaisError:
    """Nothing answered, or no longer."""
    why = str(error) or "it took too long"
    return Unreachable(
        f"{target.url} is not reachable ({why})",
        sent=sent,
        hint="is it up? start it with `dais up`, or check DAIS_URL",
    )


class _Answer(asyncio.Protocol):
    """Takes the head of the answer, and a refusal's body; `whole` is its status, its headers, and what comes next."""

    def __init__(self) -> None:
        self.whole: asyncio.Future[tuple[int, dict[str, str], bytes]] = asyncio.get_running_loop().create_future()
        self._data = b""
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self.whole.done():
            return
        try:
            found = read_head(self._data)
        except BadAnswer as error:
            self._fail(error)
            return
        if found is not None and len(found[2]) >= found[3]:
            self.whole.set_result(found[:3])

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionResetError("it closed the connection before it answered"))

    def _fail(self, error: Exception) -> None:
        if not self.whole.done():
            self.whole.set_exception(error)
            self.whole.exception()  # seen here, where nobody may wait any more
