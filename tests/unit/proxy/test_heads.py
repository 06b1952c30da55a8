"""What is read as a head of HTTP/1.1, and what is refused because two programs could read it in two ways."""

from __future__ import annotations

import pytest

from dais.proxy.http.heads import MOST_HEAD, BadHead, RequestHead, head_end, read_answer, read_request
from dais.proxy.http.onward import host_of

GOOD = b"GET /a?b=c HTTP/1.1\r\nHost: web.job.localhost:8765\r\nAccept:  text/html \r\nX-Empty:\r\n\r\n"


def read(data: bytes) -> RequestHead:
    end = head_end(data)
    assert end > 0
    return read_request(data, end)[0]


def test_a_head_is_read() -> None:
    head = read(GOOD + b"body")
    assert (head.method, head.target, head.modern, head.end) == (b"GET", b"/a?b=c", True, len(GOOD))
    assert head.block.get(b"accept") == b"text/html"
    assert head.block.get(b"x-empty") == b""
    assert head.keep_alive
    assert host_of(head.block) == (b"web.job.localhost:8765", b"web.job.localhost")


def test_a_head_that_is_not_all_there_is_waited_for() -> None:
    for cut in range(1, len(GOOD)):
        assert head_end(GOOD[:cut]) == -1


BROKEN = {
    "a bare line feed ends a line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "a bare line feed in a field": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "a folded line": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "a line folded by a tab": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n",
    "a space before the first field": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "a zero byte": b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
    "chunks and a length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a length and chunks": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
    "the same length twice": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\n",
    "a length with a sign": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -4\r\n\r\n",
    "a hexadecimal length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\n",
    "a length with a line": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4_0\r\n\r\n",
    "a length that is none": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
    "another encoding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "chunks of another encoding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "chunks twice": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks and identity": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
    "chunks after a control character": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/0.9": b"GET /\r\nHost: a\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/1.10": b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a control character in the target": b"GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a byte that is no ASCII in the target": b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method in small letters": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "an empty line first": b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "too many fields": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 201 + b"\r\n",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_what_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(BadHead):
        read(data)


HOSTS = {
    "none": b"",
    "two": b"Host: a\r\nHost: a\r\n",
    "empty": b"Host:\r\n",
    "a trailing dot": b"Host: web.job.localhost.\r\n",
    "a user": b"Host: user@web.job.localhost\r\n",
    "a path": b"Host: web.job.localhost/x\r\n",
    "a letter as a port": b"Host: web.job.localhost:x\r\n",
    "no digits": b"Host: web.job.localhost:\r\n",
    "two ports": b"Host: web.job.localhost:80:80\r\n",
    "an empty label": b"Host: web..localhost\r\n",
    "a space": b"Host: web.job.localhost x\r\n",
    "two in one": b"Host: a, b\r\n",
    "a letter that is no ASCII": b"Host: w\xc3\xa9b.job.localhost\r\n",
    "an escape": b"Host: web%2ejob.localhost\r\n",
}


@pytest.mark.parametrize("field", HOSTS.values(), ids=HOSTS)
def test_a_host_that_is_not_one_plain_name_is_refused(field: bytes) -> None:
    head = read(b"GET / HTTP/1.1\r\n" + field + b"Accept: a\r\n\r\n")
    with pytest.raises(BadHead):
        host_of(head.block)


def test_a_host_in_capitals_is_the_same() -> None:
    assert host_of(read(b"GET / HTTP/1.1\r\nhOsT: WEB.Job.LocalHost:80\r\n\r\n").block)[1] == b"web.job.localhost"


def test_a_head_may_not_be_larger_than_is_kept() -> None:
    with pytest.raises(BadHead) as refused:
        head_end(b"GET / HTTP/1.1\r\nX: " + b"y" * MOST_HEAD)
    assert refused.value.status == 431
    with pytest.raises(BadHead):
        head_end(b"GET / HTTP/1.1\r\nX: " + b"y" * MOST_HEAD + b"\r\n\r\n")


def test_answers_are_read_as_strictly() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    head = read_answer(data, head_end(data))
    assert (head.status, head.reason, head.block.length, head.keep_alive) == (200, b"OK", 2, False)
    assert read_answer(b"HTTP/1.0 404\r\n\r\n", 16).status == 404
    for broken in (
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ):
        with pytest.raises(BadHead):
            read_answer(broken, head_end(broken))
