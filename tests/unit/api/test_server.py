"""Addresses: which may be listened on, and how they are told to people."""

from __future__ import annotations

import socket

import pytest

from dais.api.server import is_loopback, listen, url_of
from dais.kit.errors import Invalid, Unavailable


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1", "[::1]"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", ""])
def test_everything_else_can_be_reached_by_others(host: str) -> None:
    assert not is_loopback(host)


def test_a_port_in_use_is_told_with_the_remedy() -> None:
    with listen("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"port {port} on 127.0.0.1 is in use .* --port") as caught:
            listen("127.0.0.1", port)
    assert caught.value.code == "port-in-use"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(Invalid) as caught:
        listen(host, 0)
    assert caught.value.code == "bad-address"


def test_the_body_of_an_answer_does_not_wait_behind_its_head() -> None:
    with listen("127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname()):
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_people_are_told_localhost() -> None:
    with listen("127.0.0.1", 0) as sock:
        assert url_of(sock) == f"http://localhost:{sock.getsockname()[1]}"
    with listen("0.0.0.0", 0) as sock:
        assert url_of(sock) == f"http://{socket.gethostname()}:{sock.getsockname()[1]}"
