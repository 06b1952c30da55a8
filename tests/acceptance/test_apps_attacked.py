"""Attacks and faults at the proxy to apps, byte by byte at a real server with a real job behind it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from dais.wire.answers import JobDetail
from tests.support.installation import Installation
from tests.support.reaching import Door, door, read_all, read_until, run_app
from tests.support.supervisor import until

MIB = 1 << 20


@pytest.fixture(scope="module")
def web(shared: Installation) -> JobDetail:
    return run_app(shared, "attacked", mem="256Mi")


@pytest.fixture(scope="module")
def app(shared: Installation, web: JobDetail) -> Iterator[Door]:
    yield door(shared, web)
    assert shared.is_well()


START = b"Host: HOST\r\nAuthorization: Bearer TOKEN\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\n" + START + b"\r\n"

SMUGGLING = {
    "a length and chunks": b"POST / HTTP/1.1\r\n" + START
    + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + NEXT,
    "chunks hidden by a tab": b"POST / HTTP/1.1\r\n" + START
    + b"Content-Length: 5\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n" + NEXT,
    "chunks hidden by a space": b"POST / HTTP/1.1\r\n" + START
    + b"Content-Length: 5\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + NEXT,
    "chunks on a folded line": b"POST / HTTP/1.1\r\n" + START
    + b"X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + NEXT,
    "chunks of another encoding": b"POST / HTTP/1.1\r\n" + START
    + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + NEXT,
    "two lengths": b"POST / HTTP/1.1\r\n" + START + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + NEXT,
    "a bare line feed before a length": b"POST / HTTP/1.1\r\n" + START + b"X: y\nContent-Length: 44\r\n\r\n" + NEXT,
    "a chunk that is longer than it says": b"POST / HTTP/1.1\r\n" + START
    + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n" + NEXT,
    "a chunk's size with a bare line feed": b"POST / HTTP/1.1\r\n" + START
    + b"Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n" + NEXT,
    "two hosts": b"GET / HTTP/1.1\r\n" + START + b"Host: other.job.localhost\r\n\r\n" + NEXT,
    "an address of another host": b"GET http://other.job.localhost/ HTTP/1.1\r\n" + START + b"\r\n" + NEXT,
    "a tunnel": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + START + b"\r\n" + NEXT,
    "a trace": b"TRACE / HTTP/1.1\r\n" + START + b"\r\n" + NEXT,
}  # fmt: skip


@pytest.mark.parametrize("data", SMUGGLING.values(), ids=SMUGGLING)
def test_a_second_request_cannot_hide_in_the_first(app: Door, data: bytes) -> None:
    answer = app.raw_answer(data)
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"/smuggled" not in answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_requests_that_follow_each_other_are_answered_in_their_order(app: Door) -> None:
    one = b"POST /1 HTTP/1.1\r\n" + START + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"
    two = b"GET /2 HTTP/1.1\r\n" + START + b"\r\n"
    three = b"POST /3 HTTP/1.1\r\n" + START + b"Content-Length: 2\r\nConnection: close\r\n\r\nok"
    answer = app.raw_answer(one + two + three)
    assert [json.loads(part.partition(b"\r\n\r\n")[2])["path"] for part in answer.split(b"HTTP/1.1 ")[1:]] == [
        "/1", "/2", "/3"
    ]  # fmt: skip


HOSTS = {
    "a trailing dot": b"LABEL.job.localhost.",
    "a user": b"dais@LABEL.job.localhost",
    "a user with a port": b"x:80@LABEL.job.localhost",
    "a path": b"LABEL.job.localhost/..",
    "a zero": b"LABEL\x00.job.localhost",
    "nothing before the dot": b".job.localhost",
    "a label more": b"a.LABEL.job.localhost",
    "an escape": b"%61LABEL.job.localhost",
    "a port that is none": b"LABEL.job.localhost:8x",
}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_a_host_written_oddly_reaches_no_app_and_no_page(app: Door, host: bytes) -> None:
    label = app.host.partition(".")[0].encode()
    head = b"GET /settings HTTP/1.1\r\nHost: " + host.replace(b"LABEL", label)
    answer = app.raw_answer(head + b"\r\nAuthorization: Bearer TOKEN\r\nConnection: close\r\n\r\n")
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 404")
    assert b'"path"' not in answer


def test_paths_reach_the_app_as_they_are_and_nothing_beside_it(app: Door) -> None:
    for path in ("/../../v1/jobs", "/%2e%2e/%2e%2e/v1/me", "//v1/me", "/v1/me", "/a/..%2f..", "/.dais"):
        answer = app.ask("GET", path)
        assert (answer.status, json.loads(answer.body)["path"]) == (200, path.replace("//", "/")), path
    assert app.ask("GET", "/.dais/enter").status == 403
    assert app.ask("GET", "/.dais/else").status == 404


def test_a_token_in_an_address_is_refused_and_revoked(shared: Installation, app: Door) -> None:
    name = shared.ask("GET", "/v1/me").json["name"]
    made = shared.ask("POST", f"/v1/users/{name}/keys", {"label": "leaked"})
    assert made.status == 201, made.body
    secret = made.json["secret"]
    assert app.ask("GET", f"/?token={secret}").status == 401
    assert Door(shared, app.url, secret).ask("GET", "/").status == 401


BROKEN = {
    "/raw/both": 502, "/raw/two-lengths": 502, "/raw/bare-lf": 502, "/raw/fold": 502, "/raw/noise": 502,
    "/raw/nothing": 502, "/raw/unasked": 502, "/raw/bad-chunk": 502, "/raw/early": 200, "/raw/to-end": 200,
    "/raw/split": 200, "/raw/chunk-extension": 200,
}  # fmt: skip


@pytest.mark.parametrize("path", BROKEN)
def test_an_answer_that_could_be_read_in_two_ways_is_not_passed_on(app: Door, path: str) -> None:
    answer = app.ask("GET", path)
    assert answer.status == BROKEN[path]
    assert b"evil" not in answer.body
    assert "link" not in answer.headers
    if answer.status == 200:
        assert answer.body in (b"ok", b"until the end")
    assert app.ask("GET", "/after").status == 200


def test_an_answer_that_stops_short_is_seen_to_be_short(app: Door) -> None:
    answer = app.raw_answer(b"GET /raw/short HTTP/1.1\r\n" + START + b"\r\n")
    assert b"Content-Length: 100" in answer
    assert answer.endswith(b"only this")


def test_an_apps_cookies_and_what_it_says_for_others_stop_at_its_host(app: Door) -> None:
    answer = app.ask("GET", "/raw/cookies")
    assert answer.headers["set-cookie"] == "mine=1; Path=/; HttpOnly"
    assert "clear-site-data" not in answer.headers


def test_heads_without_end_are_refused(app: Door) -> None:
    answer = app.raw_answer(b"GET / HTTP/1.1\r\n" + START + b"X-Long: " + b"y" * (80 << 10) + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431")
    assert app.raw_answer(b"GET / HTTP/1.1\r\n" + START + b"X: y\r\n" * 300 + b"\r\n").startswith(b"HTTP/1.1 431")


def test_an_app_that_floods_a_slow_client_does_not_fill_the_memory(shared: Installation, app: Door) -> None:
    assert app.ask("GET", "/").status == 200
    before = shared.memory()
    floods = [app.raw(b"GET /flood HTTP/1.1\r\n" + START + b"\r\n") for _ in range(20)]
    try:
        for sock in floods:
            read_until(sock, b"\r\n\r\n")
        assert app.ask("GET", f"/big?{64 * MIB}").status == 200  # others are served, and time goes by
        assert shared.memory() - before < 40 * MIB
    finally:
        for sock in floods:
            sock.close()


def test_a_client_that_floods_a_silent_app_is_not_read(shared: Installation, app: Door) -> None:
    before = shared.memory()
    sock = app.raw(b"POST /never HTTP/1.1\r\n" + START + b"Content-Length: 1000000000\r\n\r\n")
    never = app.raw(b"GET /never HTTP/1.1\r\n" + START + b"\r\n")
    with sock, never:
        for one in (sock, never):
            one.settimeout(0.5)
            with pytest.raises((TimeoutError, ConnectionError)):
                one.sendall(bytes(100 * MIB))
        assert shared.memory() - before < 20 * MIB
        assert app.ask("GET", "/").status == 200


def test_an_app_that_listens_late_is_reached_then(shared: Installation) -> None:
    job = shared.submit("sh", "-c", f"echo waits; read line < /dev/null; sleep 1; exec python3 -c '{LATE}'")
    shared.wait_output(job, b"waits")
    late = door(shared, job)
    assert late.ask("GET", "/").status == 503
    until(lambda: late.ask("GET", "/").status == 501, "it is reached")


LATE = (
    "import http.server as h; h.HTTPServer((chr(49)+chr(50)+chr(55)+chr(46)+chr(48)+chr(46)+chr(48)+chr(46)+chr(49), "
    "8080), h.BaseHTTPRequestHandler).serve_forever()"
)


def test_a_job_that_ends_in_the_midst_cuts_its_streams(shared: Installation) -> None:
    job = run_app(shared)
    stream = door(shared, job).raw(b"GET /stream HTTP/1.1\r\n" + START + b"\r\n")
    with stream:
        read_until(stream, b"data: 1")
        shared.client().jobs.kill(job.id)
        assert not read_all(stream).endswith(b"0\r\n\r\n")


@pytest.mark.slow
def test_a_gibibyte_through_a_web_socket_leaves_the_memory_as_it_was(shared: Installation, app: Door) -> None:
    size, block = 1 << 30, bytes(MIB)
    with closing(
        app.raw(
            b"GET /socket HTTP/1.1\r\n" + START + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    ) as sock:
        read_until(sock, b"\r\n\r\n")
        before = shared.memory()

        def send() -> None:
            for _ in range(size // MIB):
                sock.sendall(block)
            sock.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        got, most = 0, before
        while data := sock.recv(MIB):
            got += len(data)
            if got % (64 * MIB) < len(data):
                most = max(most, shared.memory())
        thread.join()
    assert got == size
    assert most - before < 30 * MIB
