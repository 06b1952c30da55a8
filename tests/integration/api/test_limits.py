"""Limits of a user, asked of a real server, and clients that wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dais.api import Context, Routes, ServerEvent, UserLimits, all_routes, read_body
from dais.api.routing import Receive, Scope, Send, empty
from dais.api.settings import LimitSettings
from dais.kit.database import Database
from dais.sdk import Client
from dais.sdk.errors import TooMany
from tests.support.serving import PATIENCE, Api, api
from tests.support.supervisor import until

routes = Routes()
gate = threading.Event()


@routes.events("/v1/test/stream", summary="Two events, the second when the gate is open", own="it is of this test")
async def stream(ctx: Context) -> AsyncIterator[ServerEvent]:
    yield ServerEvent("first", "log", "1")
    await asyncio.to_thread(gate.wait, PATIENCE)
    yield ServerEvent("second", "log", "2")


@routes.raw("PUT", "/v1/test/upload", summary="Take a body", own="it is of this test")
async def upload(ctx: Context, scope: Scope, receive: Receive, send: Send) -> None:
    await read_body(scope, receive, 1 << 20)
    await empty(send)


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Iterator[Api]:
    gate.clear()
    with api(database, [*all_routes(), *routes.all], tmp_path) as running:
        yield running


def limit(server: Api, **settings: int) -> None:
    server.services.limits = UserLimits(LimitSettings(**settings))


def test_requests_are_refused_with_when_to_come_back(server: Api) -> None:
    limit(server, requests_per_minute=3)
    answers = [server.ask("GET", "/v1/me") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    refused = answers[-1]
    assert refused.json["code"] == "too-many-requests"
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert 0 < refused.json["fields"]["retry_after"] <= 20
    assert "3 requests in a minute" in refused.json["detail"]
    assert server.ask("GET", "/v1/version").status == 200, "what needs no token is nobody's"


def test_a_client_waits_and_goes_on(server: Api) -> None:
    limit(server, requests_per_minute=120)
    with Client(server.url, server.administrator.token.secret, patience=PATIENCE) as client:
        for _ in range(123):
            client.me()
    limit(server, requests_per_minute=1)
    with Client(server.url, server.administrator.token.secret, patience=0.1) as client:
        client.me()
        with pytest.raises(TooMany, match="1 requests in a minute"):
            client.me()


def test_a_stream_too_many_is_refused_until_one_ends(server: Api) -> None:
    limit(server, streams=1)
    first = threading.Thread(target=server.ask, args=("GET", "/v1/test/stream"))
    first.start()
    try:
        until(lambda: bool(server.services.limits._open), "the stream is open")
        refused = server.ask("GET", "/v1/test/stream")
        assert (refused.status, refused.json["code"]) == (429, "too-many-streams")
        assert refused.headers["retry-after"] == "5"
    finally:
        gate.set()
        first.join()
    none_open(server)
    assert server.ask("GET", "/v1/test/stream").status == 200
    none_open(server)


def none_open(server: Api) -> None:
    """Wait until the server has noticed that what was open has ended."""
    until(lambda: not server.services.limits._open, "nothing is counted as open")


def test_uploads_are_counted_until_they_end(server: Api) -> None:
    limit(server, uploads=1)
    actor = server.administrator.user.id
    with server.services.limits.upload(actor, 10):
        refused = server.ask("PUT", "/v1/test/upload", b"x" * (8 << 20))
        assert (refused.status, refused.json["code"]) == (429, "too-many-uploads")
    assert server.ask("PUT", "/v1/test/upload", b"x" * 500_000).status == 204
    none_open(server)
