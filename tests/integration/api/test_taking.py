"""Connections that takers take away from the ASGI application, on a real listener."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from dais.api.taking import Offer
from tests.support.serving import serving

HELLO = b"GET /hello HTTP/1.1\r\nHost: dais\r\n\r\n"
MINE = b"GET /mine HTTP/1.1\r\nHost: a.job.example\r\nContent-Length: 4\r\n\r\nbody"


class Echo(asyncio.Protocol):
    """Sends back what comes, in capitals."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer

    def data_received(self, data: bytes) -> None:
        self.offer.transport.write(data.upper())

    def connection_lost(self, exc: Exception | None) -> None:
        self.offer.release()

    def shutdown(self) -> None:
        self.offer.transport.close()


class Echoes:
    """Takes what is for hosts below `job.example`, and the path `/mine`."""

    def wants(self, target: bytes, hosts: Sequence[bytes]) -> bool:
        return target == b"/own" or any(host.endswith(b".job.example") for host in hosts)

    def take(self, offer: Offer) -> Echo:
        return Echo(offer)


async def application(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message.get("more_body"):
            break
    text = scope["path"].encode() + b" " + body
    head = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(application, takers=[Echoes()]) as url:
        yield int(url.rpartition(":")[2])


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        yield sock


def read(sock: socket.socket, until: bytes) -> bytes:
    data = b""
    while until not in data:
        more = sock.recv(65536)
        if not more:
            break
        data += more
    return data


def test_a_request_that_a_taker_wants_is_given_with_all_that_came(port: int) -> None:
    with connection(port) as sock:
        sock.sendall(MINE)
        assert read(sock, b"BODY") == MINE.upper()
        sock.sendall(b"more")
        assert read(sock, b"MORE") == b"MORE"


def test_the_head_may_come_byte_by_byte(port: int) -> None:
    with connection(port) as sock:
        for index in range(len(MINE)):
            sock.sendall(MINE[index : index + 1])
        assert read(sock, b"BODY") == MINE.upper()


def test_other_requests_stay_and_the_next_of_the_same_connection_may_go(port: int) -> None:
    with connection(port) as sock:
        for _ in range(2):
            sock.sendall(HELLO)
            assert read(sock, b"/hello ").startswith(b"HTTP/1.1 200")
        sock.sendall(b"POST /own HTTP/1.1\r\nHost: dais\r\n\r\n")
        assert read(sock, b"\r\n\r\n") == b"POST /OWN HTTP/1.1\r\nHOST: DAIS\r\n\r\n"


def test_one_that_comes_before_the_answer_to_the_one_before_is_refused(port: int) -> None:
    with connection(port) as sock:
        sock.sendall(HELLO + MINE)
        answer = read(sock, b"of its own\n")
        assert answer.index(b"200 OK") < answer.index(b"421 Misdirected")


def test_a_body_that_looks_like_a_request_is_a_body(port: int) -> None:
    with connection(port) as sock:
        sock.sendall(b"POST /x HTTP/1.1\r\nHost: dais\r\nContent-Length: %d\r\n\r\n" % len(MINE))
        sock.sendall(MINE)
        assert read(sock, MINE).endswith(b"/x " + MINE)


def test_what_is_no_http_is_refused_at_once(port: int) -> None:
    with connection(port) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert read(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 400")
