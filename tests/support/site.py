"""A whole site in one process: the pages and the API over HTTP, the loops, and a machine that tests steer."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import httpx2
from jinja2.bccache import Bucket, BytecodeCache

from dais import web
from dais.api import Application, Authenticator, Parts, Services, all_routes, make_folder
from dais.api.server import Server, listen
from dais.app.callers import ApiCallers
from dais.compute import Notifier, NotifySettings
from dais.engines.contract import STDOUT
from dais.identity import IdentitySettings, NewToken, SignInDesk, create_sign_in_link, create_token
from dais.kit.ids import new_id
from dais.kit.outbox import relay
from dais.proxy import Proxy, ProxySettings
from dais.wire.transfers import NewFolder
from tests.support.world import World, running

_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Whom clients of a site trust, which has no TLS: reading the authorities takes longer than a page."""


class _Compiled(BytecodeCache):
    """Templates that this process has compiled: it takes longer than most tests of a page."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._codes[bucket.key, bucket.checksum] = bucket.code


_compiled = _Compiled()


@dataclass(frozen=True)
class Site:
    """A running site. `url` has no slash at its end."""

    url: str
    world: World
    services: Services
    stop: Callable[[], Awaitable[None]]
    """Stop answering. Jobs and loops go on."""
    start: Callable[[], Awaitable[str]]
    """Answer again, at the same address."""

    async def link(self, user_id: str | None = None) -> str:
        """The path of a fresh sign-in link of a user, by default the administrator."""
        secret: str = await self.world.db.write(create_sign_in_link, user_id or self.world.actor.id)
        return f"/sign-in/{secret}"

    async def token(self) -> str:
        """A fresh token of the administrator."""
        made: NewToken = await self.world.db.write(create_token, self.world.actor)
        return made.secret

    def browser(self) -> httpx2.AsyncClient:
        """A client that keeps cookies and follows nothing by itself; what it posts says where it comes from."""
        return httpx2.AsyncClient(
            base_url=self.url, follow_redirects=False, headers={"Origin": self.url}, timeout=30, verify=_NOBODY
        )

    @asynccontextmanager
    async def signed_in(self, user_id: str | None = None) -> AsyncIterator[httpx2.AsyncClient]:
        """The same, signed in as a user, by default the administrator."""
        async with self.browser() as client:
            answer = await client.post(await self.link(user_id))
            assert answer.status_code == 303, answer.text
            yield client

    async def folder(self, name: str) -> Path:
        """Make a folder of the administrator; its directory on the disk."""
        wanted = NewFolder(name=name)
        made = await make_folder(self.services, self.world.actor, wanted, new_id())
        return self.world.folders.root / made.id

    async def prints(self, job_id: str, text: str, stream: int = STDOUT) -> None:
        """Let a running job print this, as it is."""
        run = (await self.world.job(job_id)).runs[-1]
        container = self.world.machine.container(run.id)
        assert container is not None, f"job {job_id} does not run"
        container.write(stream, text.encode(), self.world.clock.now())


def quick_desk(world: World) -> SignInDesk:
    """Where passwords are hashed with as little work as possible."""
    return SignInDesk(world.db, world.vault, IdentitySettings(password_memory=8, password_passes=1))


class _Served:
    """The server's process, as it were: it can be stopped and come back at the same address."""

    def __init__(self, world: World) -> None:
        assert world.compute is not None
        authenticator, compute = Authenticator(world.db), world.compute
        doors = Proxy(
            world.db,
            compute,
            world.vault,
            ApiCallers(authenticator),
            ProxySettings(),
            IdentitySettings(),
            lambda: self.services.url,
        )
        self.services = Services(
            db=world.db,
            clock=world.clock,
            data_dir=world.directory,
            authenticator=authenticator,
            parts=Parts(
                blobs=world.blobs,
                folders=world.folders,
                compute=compute,
                vault=world.vault,
                notifier=Notifier(world.db, world.vault, NotifySettings()),
                desk=quick_desk(world),
                doors=doors,
            ),
        )
        self.port = 0
        self._api, self._pages = Application(all_routes(), self.services), web.app(self.services, _compiled)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> str:
        """Listen, and answer; the address."""
        sock = listen("127.0.0.1", self.port)
        self.port = sock.getsockname()[1]
        self.services.url = f"http://127.0.0.1:{self.port}"
        self.services.stopping.clear()
        ready = asyncio.Event()
        server = Server(self._answer, stop_seconds=5, on_ready=ready.set)
        self._tasks = [
            asyncio.create_task(server.run_until(sock, self.services.stopping)),
            asyncio.create_task(relay(self.services.db).run()),
        ]
        await ready.wait()
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        self.services.stopping.set()
        serving, numbering = self._tasks
        await serving
        numbering.cancel()
        await asyncio.gather(numbering, return_exceptions=True)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await (self._api if scope["path"].startswith(("/v1/", "/metrics")) else self._pages)(scope, receive, send)


@asynccontextmanager
async def running_site(world: World) -> AsyncIterator[Site]:
    """The world started, and served."""
    async with running(world):
        served = _Served(world)
        url = await served.start()
        try:
            yield Site(url, world, served.services, served.stop, served.start)
        finally:
            await served.stop()


def form_token(page: str) -> str:
    """The token that the forms of a page carry."""
    found = re.search(r'name="token" value="([0-9a-f]{64})"', page)
    assert found is not None, "the page has no form with a token"
    return found[1]
