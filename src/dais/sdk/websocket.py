"""A blocking WebSocket with what the standard library has: a command's start is short, and no late pong ends it.

Through a proxy, which few need, the `websockets` library goes instead.
"""

from __future__ import annotations

import binascii
import contextlib
import os
import socket
import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dais.sdk.errors import BadAnswer, from_response
from dais.sdk.target import ANSWER_TIMEOUT, CONNECT_TIMEOUT, Target, is_loopback
from dais.wire.websocket import BINARY, CLOSE, PING, PONG, TEXT, BrokenFraming, Frames, accept_key, close_payload, head

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

MAX_MESSAGE = 16 << 20
MOST_HEAD = 64 << 10
_chunk = 256 << 10
_proxies = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


class Closed(Exception):
    """The other side has closed it, or the connection broke; `code` is that of the close, 1006 without one."""

    def __init__(self, code: int = 1006, reason: str = "") -> None:
        super().__init__(reason or f"closed with {code}")
        self.code = code


class Socket(ABC):
    """A WebSocket of either kind. One thread receives; any may send."""

    @abstractmethod
    def send(self, message: bytes | str) -> None:
        """Waits while the other side does not read. Raises Closed."""

    @abstractmethod
    def recv(self) -> bytes | str:
        """The next message. Raises Closed."""

    @abstractmethod
    def close(self) -> None:
        """Say so, without waiting for an answer."""


def open_websocket(target: Target, path: str) -> Socket:
    """Raises the typed error of a refusal, BadAnswer, OSError."""
    parts = urlsplit(target.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    if not is_loopback(host) and any(os.environ.get(name) for name in _proxies):
        return _Library(target, path)
    key = binascii.b2a_base64(os.urandom(16), newline=False).decode("ascii")
    place: Any = host.encode() if host.isascii() else host  # text would be asked for with all of Unicode's tables
    sock = socket.create_connection((place, parts.port or (443 if secure else 80)), CONNECT_TIMEOUT)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.settimeout(ANSWER_TIMEOUT)
        if secure:
            import ssl

            sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
        sock.sendall(upgrade(target, path, key))
        rest = _answer(target, sock, key)
        sock.settimeout(None)
    except BaseException:
        sock.close()
        raise
    return _Plain(sock, rest, masked=not (secure or is_loopback(host)))


def upgrade(target: Target, path: str, key: str) -> bytes:
    """The request for a WebSocket."""
    from dais import __version__

    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {urlsplit(target.url).netloc.rpartition('@')[2]}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        f"User-Agent: dais/{__version__}",
        *(f"{name}: {value}" for name, value in target.credentials("GET", path).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def read_head(data: bytes) -> tuple[int, dict[str, str], bytes, int] | None:
    """Status, headers by their lower-case names, what comes after, and how long a refusal's body is; None: go on.

    Raises BadAnswer.
    """
    found, blank, rest = data.partition(b"\r\n\r\n")
    if not blank:
        if len(data) > MOST_HEAD:
            raise BadAnswer("the answer has no end", code="bad-answer")
        return None
    first, *lines = found.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise BadAnswer(f"{first[:80]!r} is no answer of HTTP", code="bad-answer")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "0")
    wanted = 0 if words[1] == "101" or not length.isdigit() else min(int(length), MOST_HEAD)
    return int(words[1]), headers, rest, wanted


def check_answer(target: Target, status: int, headers: dict[str, str], rest: bytes, key: str) -> None:
    """Raises the typed error of a refusal, BadAnswer."""
    if status != 101:
        raise from_response(status, rest, headers)
    if headers.get("sec-websocket-accept") != accept_key(key):
        raise BadAnswer(f"{target.url} does not speak as Dais does: its answer is no WebSocket's", code="bad-answer")


def _answer(target: Target, sock: socket.socket, key: str) -> bytes:
    data = b""
    while True:
        part = sock.recv(_chunk)
        if not part:
            raise ConnectionResetError("it closed the connection before it answered")
        data += part
        found = read_head(data)
        if found is not None and len(found[2]) >= found[3]:
            check_answer(target, *found[:3], key)
            return found[2]


class _Plain(Socket):
    """A WebSocket on a socket of our own."""

    def __init__(self, sock: socket.socket, rest: bytes, *, masked: bool) -> None:
        self._sock = sock
        self._rest = rest
        self._masked = masked
        self._frames = Frames(None, MAX_MESSAGE)
        self._come: deque[tuple[int, bytes]] = deque()
        self._sending = threading.Lock()
        self._pongs: deque[bytes] = deque(maxlen=1)
        """The answer to the last ping, while somebody else is sending."""

    def send(self, message: bytes | str) -> None:
        kind, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        with self._sending:
            self._put(kind, payload)
        self._answer_pings()

    def recv(self) -> bytes | str:
        while True:
            while self._come:
                kind, payload = self._come.popleft()
                if kind == TEXT:
                    return payload.decode("utf-8", "replace")
                if kind == BINARY:
                    return payload
                if kind == PING:
                    self._pongs.append(payload)
                    self._answer_pings()
                elif kind == CLOSE:
                    raise Closed(int.from_bytes(payload[:2], "big") or 1005, payload[2:].decode("utf-8", "replace"))
            self._read()

    def close(self) -> None:
        if self._sending.acquire(blocking=False):  # else what is being sent may wait for ever
            try:
                self._sock.settimeout(1.0)
                with contextlib.suppress(OSError, Closed):
                    self._put(CLOSE, close_payload(1000))
            finally:
                self._sending.release()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes who waits in another thread
        self._sock.close()

    def _read(self) -> None:
        data, self._rest = self._rest, b""
        try:
            data = data or self._sock.recv(_chunk)
        except OSError as error:
            raise Closed(1006, str(error)) from error
        if not data:
            raise Closed
        try:
            self._come.extend((kind, bytes(payload)) for kind, payload in self._frames.feed(data))
        except BrokenFraming as error:
            raise Closed(1002, str(error)) from error

    def _answer_pings(self) -> None:
        """At once, or by whoever is sending: to wait for them here would stop the reading."""
        while self._pongs and self._sending.acquire(blocking=False):
            try:
                if self._pongs:
                    with contextlib.suppress(Closed):
                        self._put(PONG, self._pongs.popleft())
            finally:
                self._sending.release()

    def _put(self, kind: int, payload: bytes) -> None:
        key, body = mask(payload) if self._masked else no_mask(payload)
        try:
            self._sock.sendall(head(kind, len(body), key) + body)
        except OSError as error:
            raise Closed(1006, str(error)) from error


class _Library(Socket):
    """The same by the `websockets` library, which knows proxies."""

    def __init__(self, target: Target, path: str) -> None:
        from websockets.exceptions import InvalidHandshake, InvalidStatus
        from websockets.sync.client import connect

        options: dict[str, Any] = {
            "additional_headers": target.credentials("GET", path),
            "max_size": MAX_MESSAGE,
            "compression": None,
            "open_timeout": CONNECT_TIMEOUT * 2,
            "ping_interval": None,
        }
        scheme, _, rest = target.url.partition("://")
        try:
            made = connect(f"{'wss' if scheme == 'https' else 'ws'}://{rest}{path}", **options)
            self._connection: ClientConnection = made.__enter__()
        except InvalidStatus as error:
            headers = {name.lower(): value for name, value in error.response.headers.raw_items()}
            raise from_response(error.response.status_code, bytes(error.response.body or b""), headers) from error
        except InvalidHandshake as error:
            raise ConnectionError(str(error)) from error

    def send(self, message: bytes | str) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._connection.send(message)
        except ConnectionClosed as error:
            raise Closed from error

    def recv(self) -> bytes | str:
        from websockets.exceptions import ConnectionClosed

        try:
            return self._connection.recv()
        except ConnectionClosed as error:
            raise Closed(error.rcvd.code if error.rcvd else 1006) from error

    def close(self) -> None:
        self._connection.close()


def no_mask(payload: bytes) -> tuple[bytes, bytes]:
    """The key of zeros, and the payload under it, which it leaves as it is.

    Masks hide what an attacker makes a browser send from proxies that would take it for requests: where none can read
    along (TLS, the machine itself) there is nothing to hide.
    """
    return b"\0\0\0\0", payload


def mask(payload: bytes) -> tuple[bytes, bytes]:
    """A key by chance, and the payload under it."""
    from websockets import frames  # which has chosen the fast one, where it was compiled

    key = os.urandom(4)
    return key, frames.apply_mask(payload, key)  # type: ignore[attr-defined]
