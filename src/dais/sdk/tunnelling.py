"""One connection to a port inside a job: the WebSocket's handshake, and the tunnel over it."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from urllib.parse import quote, urlsplit

from dais import __version__
from dais.sdk.errors import BadAnswer, DaisError, Unreachable, from_response
from dais.sdk.target import ANSWER_TIMEOUT, CONNECT_TIMEOUT, Target, is_loopback
from dais.wire.tunnel import Tunnel
from dais.wire.websocket import accept_key

MOST_HEAD = 64 << 10
"""Bytes of an answer's head, and of the body of a refusal."""


def new_tunnel(target: Target) -> Tunnel:
    """A client's end of a connection; give it to `connect`."""
    parts = urlsplit(target.url)
    # Masks hide what an attacker makes a browser send from proxies that would take it for requests. Where none can
    # read along there is nothing to hide, and a key of zeros costs nothing.
    hidden = parts.scheme == "https" or is_loopback(parts.hostname or "")
    return Tunnel(mask=_zeros if hidden else _random)


async def connect(target: Target, path: str, tunnel: Tunnel) -> tuple[asyncio.Transport, bytes]:
    """Open the WebSocket at a path for a tunnel: its transport, and what has come after the handshake.

    Reading is paused. Raises the typed error of a refusal, Unreachable, BadAnswer.
    """
    parts = urlsplit(target.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    key = base64.b64encode(os.urandom(16)).decode("ascii")
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        f"User-Agent: dais/{__version__}",
        *(f"{name}: {value}" for name, value in target.credentials("GET", path).items()),
    ]
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context() if secure else None
    transport: asyncio.Transport | None = None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            transport, answer = await loop.create_connection(
                _Answer, host, parts.port or (443 if secure else 80), ssl=context
            )
        transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
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
    if status != 101:
        transport.abort()
        raise from_response(status, rest, headers)
    if headers.get("sec-websocket-accept") != accept_key(key):
        transport.abort()
        raise BadAnswer(f"{target.url} does not speak as Dais does: its answer is no WebSocket's", code="bad-answer")
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
        head, blank, rest = self._data.partition(b"\r\n\r\n")
        if not blank:
            if len(self._data) > MOST_HEAD:
                self._fail(BadAnswer("the answer has no end", code="bad-answer"))
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            self._fail(BadAnswer(f"{first[:80]!r} is no answer of HTTP", code="bad-answer"))
            return
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "0")
        wanted = min(int(length), MOST_HEAD) if length.isdigit() else 0
        if words[1] == "101" or len(rest) >= wanted:
            self.whole.set_result((int(words[1]), headers, rest))

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionResetError("it closed the connection before it answered"))

    def _fail(self, error: Exception) -> None:
        if not self.whole.done():
            self.whole.set_exception(error)
            self.whole.exception()  # seen here, where nobody may wait any more


def _zeros(payload: bytes) -> tuple[bytes, bytes]:
    return b"\0\0\0\0", payload


def _random(payload: bytes) -> tuple[bytes, bytes]:
    from websockets import frames  # which has chosen the fast one, where it was compiled

    key = os.urandom(4)
    return key, frames.apply_mask(payload, key)  # type: ignore[attr-defined]
