"""HTTP/1.1 on a socket that a thread waits for: heads by httptools, bodies straight into a buffer."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httptools
import msgspec

from dais.api.errors import HttpProblem, describe, encode
from dais.api.routing import DRAINED, SILENCE
from dais.kit.errors import Unavailable

MAX_HEAD = 16 << 10
"""Bytes of a request's head; a ticket for the longest path has its place in it."""

LINGER_SECONDS = 5.0
"""How long a client that was refused may go on sending."""

_reasons = {
    200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found",
    405: b"Method Not Allowed", 408: b"Request Timeout", 409: b"Conflict", 411: b"Length Required",
    429: b"Too Many Requests", 431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    503: b"Service Unavailable",
}  # fmt: skip
_number = re.compile(rb"\d{1,18}")
_to_json = msgspec.json.Encoder().encode


class Cut(Exception):
    """The client has gone: nobody to answer."""


@dataclass(slots=True)
class Head:
    """The head of a request; header names are in lower case. `length` None: it tells none."""

    method: str = ""
    target: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    keep_alive: bool = False
    whole: bool = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.whole = True

    @property
    def length(self) -> int | None:
        """Bytes of the body; None when it tells none, or comes in chunks."""
        value = self.headers.get(b"content-length", b"")
        return int(value) if _number.fullmatch(value) and b"transfer-encoding" not in self.headers else None


class Connection:
    """One connection. `patience`: seconds that the client may keep silent; `slowest`: bytes a second, on average over
    that time, that a body must bring. `now` is a clock in seconds that never goes back."""

    def __init__(
        self, sock: socket.socket, patience: float, slowest: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._sock = sock
        self._patience = patience
        self._slowest = slowest
        self._now = now
        self._rest = b""
        self._trouble: Exception = Cut()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def head(self) -> Head | None:
        """The head of the next request; None when there is none. Raises HttpProblem 400, 408, 431."""
        data, self._rest = self._rest, b""
        deadline = self._now() + self._patience
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > MAX_HEAD:
                raise HttpProblem(
                    431, "The head is too large", f"send at most {MAX_HEAD:,} bytes", code="head-too-large"
                )
            try:
                self._sock.settimeout(max(0.001, deadline - self._now()))
                piece = self._sock.recv(MAX_HEAD)
            except TimeoutError:
                if data:
                    raise _too_slow("the head of a request has not come") from None
                return None
            except OSError:
                return None
            if not piece:
                return None
            data += piece
        self._rest = data[end + 4 :]
        return _parsed(data[: end + 4])

    def go_on(self, head: Head) -> None:
        """Tell a client that waits for it that its body is wanted. Raises Cut."""
        if head.headers.get(b"expect", b"").lower() == b"100-continue":
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def fill(self, buffer: memoryview) -> int:
        """Receive a part of the body: as many bytes as `buffer` has, or fewer when no more come (see `broken`)."""
        taken = min(len(self._rest), len(buffer))
        buffer[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        since, counted = self._now(), taken
        self._sock.settimeout(self._patience)
        while taken < len(buffer):
            try:
                got = self._sock.recv_into(buffer[taken:])
            except TimeoutError:
                self._trouble = _too_slow("nothing has come")
                return taken
            except OSError:
                return taken
            if not got:
                return taken
            taken += got
            at = self._now()
            if at - since >= self._patience:
                if taken - counted < self._slowest * self._patience:
                    self._trouble = _too_slow(f"fewer than {self._slowest:,} bytes a second have come")
                    return taken
                since, counted = at, taken
        return taken

    def give_way(self) -> None:
        """Have no more of the body come, since others wait for its place. For other threads."""
        self._trouble = Unavailable(
            "others wait for its room, and this is slow; send it to the API", code="gave-way", retry_after=1
        )
        with suppress(OSError):  # it has ended meanwhile
            self._sock.shutdown(socket.SHUT_RD)

    @property
    def broken(self) -> Exception:
        """Why no more came: Cut, HttpProblem 408, or Unavailable `gave-way`."""
        return self._trouble

    def answer(self, value: Any, *, close: bool) -> None:
        """Answer 200 with JSON. Raises Cut."""
        self._answer(200, _to_json(value), b"application/json", {}, close)

    def refuse(self, error: BaseException) -> int:
        """Answer a failure as a problem, and let the connection go; the status. Raises Cut."""
        status = self.tell(error)
        self._linger()
        return status

    def tell(self, error: BaseException) -> int:
        """The same, without reading on. Raises Cut."""
        problem, headers = describe(error)
        self._answer(problem.status, encode(problem), b"application/problem+json", headers, True)
        return problem.status

    def _answer(self, status: int, body: bytes, kind: bytes, headers: dict[str, str], close: bool) -> None:
        lines = [
            b"HTTP/1.1 %d %s" % (status, _reasons.get(status, b"Status")),
            b"content-type: " + kind,
            b"content-length: %d" % len(body),
            b"cache-control: no-store",
            b"x-content-type-options: nosniff",
            b"connection: " + (b"close" if close else b"keep-alive"),
            *(f"{name}: {value}".encode("latin-1") for name, value in headers.items()),
        ]
        self._send(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    def _send(self, data: bytes) -> None:
        try:
            self._sock.settimeout(self._patience)
            self._sock.sendall(data)
        except OSError as error:
            raise Cut from error

    def _linger(self) -> None:
        """Read on for a while what nobody wants: closed at once, the client would hear of that before our answer."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.settimeout(SILENCE)
            left, until = DRAINED, self._now() + LINGER_SECONDS
            while left > 0 and self._now() < until and (got := len(self._sock.recv(64 << 10))):
                left -= got


def _parsed(data: bytes) -> Head:
    head = Head()
    try:
        parser = httptools.HttpRequestParser(head)
        parser.feed_data(data)
        head.method = parser.get_method().decode("ascii")
        head.keep_alive = parser.should_keep_alive()
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise _no_request() from error
    if not head.whole:
        raise _no_request()
    return head


def _no_request() -> HttpProblem:
    return HttpProblem(
        400, "The request is wrong", "this is no HTTP request that can be understood", code="bad-request"
    )


def _too_slow(what: str) -> HttpProblem:
    return HttpProblem(
        408, "It takes too long", f"{what} in time; what has come is kept, go on from there", code="too-slow"
    )
