"""Answers that go out in one piece: what a client sees is what ASGI's two messages would have made of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dais.api.whole import send_whole
from tests.support.serving import serving

PLAIN = [(b"content-type", b"text/plain"), (b"content-length", b"5")]


async def application(scope: Any, receive: Any, send: Any) -> None:
    path, head = scope["path"], scope["method"] == "HEAD"
    if path == "/torn":
        await send_whole(send, 200, [*PLAIN, (b"x-name", b"a\r\nset-cookie: b=c")], b"hello", head=head)
    elif path == "/none":
        await send_whole(send, 204, [(b"allow", b"GET")], b"", head=head)
    elif path == "/late":
        await send({"type": "http.response.start", "status": 200, "headers": PLAIN})
        with pytest.raises(RuntimeError, match=r"http\.response\.body"):
            await send_whole(send, 200, PLAIN, b"other", head=head)
        await send({"type": "http.response.body", "body": b"hello"})
    else:
        await send_whole(send, 200, PLAIN, b"hello", head=head)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(application) as url:
        yield int(url.rpartition(":")[2])


@contextmanager
def asked(port: int, *requests: str) -> Iterator[bytes]:
    """All that comes back until the server closes the connection: the last request asks for that."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        for number, request in enumerate(requests, 1):
            last = "Connection: close\r\n" if number == len(requests) else ""
            sock.sendall(f"{request} HTTP/1.1\r\nHost: dais\r\n{last}\r\n".encode())
        data = b""
        while more := sock.recv(65536):
            data += more
        yield data


def test_an_answer_has_its_head_and_its_body_and_closes_where_that_was_asked_for(port: int) -> None:
    with asked(port, "GET /") as data:
        head, _, body = data.partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0] == b"HTTP/1.1 200 OK"
        assert b"content-length: 5" in head
        assert b"connection: close" in head
        assert body == b"hello"


def test_requests_on_one_connection_are_answered_in_their_order(port: int) -> None:
    with asked(port, "GET /", "GET /none", "GET /") as data:
        assert data.count(b"hello") == 2
        assert data.index(b"HTTP/1.1 200") < data.index(b"HTTP/1.1 204") < data.rindex(b"HTTP/1.1 200")


def test_a_request_for_the_head_alone_gets_no_body(port: int) -> None:
    with asked(port, "HEAD /") as data:
        assert b"content-length: 5" in data
        assert data.endswith(b"\r\n\r\n")


def test_a_header_that_would_end_its_line_is_never_sent(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with asked(port, "GET /torn") as data:
        assert b"set-cookie" not in data
        assert data.startswith(b"HTTP/1.1 500")
    assert "holds the end of a line" in caplog.text


def test_what_has_begun_in_two_messages_is_not_answered_over_again(port: int) -> None:
    with asked(port, "GET /late") as data:
        assert data.endswith(b"hello")
        assert data.count(b"HTTP/1.1") == 1
