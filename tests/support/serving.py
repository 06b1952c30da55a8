"""A real server for an ASGI application, in a thread; and an installation to ask."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop

from dais.api import Application, Authenticator, Parts, Services
from dais.api.rest import all_routes
from dais.api.routing import Route
from dais.api.server import Server, listen, url_of
from dais.api.taking import Taker
from dais.data import BlobStore
from dais.identity import Bootstrapped, IdentitySettings, SignInDesk, bootstrap
from dais.kit.database import Database, open_database
from dais.kit.vault import KEY_FILE, Vault
from tests.support.database import sqlite_url

PATIENCE = 30.0
"""Seconds after which a test that waits for something has failed."""


@dataclass(frozen=True)
class Answer:
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Api:
    """A server that answers, and the administrator of its installation."""

    url: str
    services: Services
    administrator: Bootstrapped

    def connect(self) -> http.client.HTTPConnection:
        place = urlsplit(self.url)
        assert place.hostname is not None
        return http.client.HTTPConnection(place.hostname, place.port, timeout=PATIENCE)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        *,
        token: str | None = "administrator",  # noqa: S107 (stands for the administrator's)
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; `token` None sends none."""
        sent = dict(headers or {})
        if token is not None:
            secret = self.administrator.token.secret if token == "administrator" else token
            sent["Authorization"] = f"Bearer {secret}"
        connection = self.connect()
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()


@contextmanager
def serving(asgi: Any, stopping: asyncio.Event | None = None, takers: Sequence[Taker] = ()) -> Iterator[str]:
    """The URL of a server that answers with `asgi` until the block ends; `stopping` is set on its loop then."""
    sock = listen("127.0.0.1", 0)
    url = url_of(sock)
    ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = stopping or asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        await Server(asgi, stop_seconds=5, on_ready=ready.set, takers=takers).run_until(sock, stop)

    def main() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=main, name="test-server")
    thread.start()
    try:
        assert ready.wait(PATIENCE), "the server has not come up"
        yield url
    finally:
        if loops:
            loop, stop = loops[0]
            loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server has not stopped"


@contextmanager
def api(database: Database, routes: Sequence[Route], data_dir: Path) -> Iterator[Api]:
    """An installation on an empty database that answers `routes`."""
    administrator = database.write_sync(bootstrap, "ann")
    assert administrator is not None
    desk = SignInDesk(database, Vault(data_dir / KEY_FILE), IdentitySettings(password_memory=8, password_passes=1))
    services = Services(
        db=database,
        clock=database.clock,
        data_dir=data_dir,
        authenticator=Authenticator(database),
        parts=Parts(desk=desk),
    )
    with serving(Application(routes, services), services.stopping) as url:
        yield Api(url, services, administrator)


@contextmanager
def lake_api(data: Path) -> Iterator[Api]:
    """An installation that answers every route, with a blob store, in a directory that is made."""
    data.mkdir()
    with sqlite_url() as url, closing(open_database(url)) as database, api(database, all_routes(), data) as running:
        running.services.parts.blobs = BlobStore(data / "blobs")
        yield running
