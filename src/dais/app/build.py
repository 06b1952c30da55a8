"""Making every part of one server process, and its loops."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dais.api import (
    AcaiApplication,
    Application,
    Authenticator,
    EaiApplication,
    Parts,
    Services,
    UserLimits,
    all_routes,
    tokens_in_address,
)
from dais.api.addresses import Addresses
from dais.api.settings import ServerSettings
from dais.api.taking import Taker
from dais.app.callers import ApiCallers
from dais.app.engines import engine_kinds
from dais.app.first_use import FirstUse
from dais.app.remote import make_remote
from dais.app.schema import newest_step
from dais.app.standing import Standing
from dais.compute import Compute, IdleWatch, Notifier, Profiler, Retention
from dais.data import DataSettings, FolderStore, keep_tidy, open_blobs
from dais.engines.contract import Engine
from dais.engines.local import LocalEngine, LocalSettings
from dais.engines.supervised.remote import Remote
from dais.engines.supervised.settings import RemoteSettings
from dais.identity import SignInDesk
from dais.kit import outbox
from dais.kit.database import Database
from dais.kit.database.settings import DatabaseSettings
from dais.kit.errors import DaisError
from dais.kit.leases import LeasedLoop
from dais.kit.mail import Mailer
from dais.kit.settings import check_environment, load, read_config, registry, settings
from dais.kit.vault import KEY_FILE, Vault
from dais.proxy import Proxy
from dais.proxy.ssh.gateway import SshGateway
from dais.proxy.ssh.keyring import Keyring

log = logging.getLogger(__name__)

SETTINGS: tuple[type[msgspec.Struct], ...] = (
    ServerSettings,
    DatabaseSettings,
    settings("local")(LocalSettings),
    settings("remote")(RemoteSettings),
)
"""Settings that no import above registers by itself; the engines' are registered here, for they do not know the kit."""

FLUSH_SECONDS = 60.0


@dataclass
class App:
    """Every part of one server process, made but not started. `asgi` answers HTTP and WebSockets.

    `takers` may take connections away from it: what is not HTTP any more after its head, and what is for jobs' apps.
    """

    db: Database
    services: Services
    compute: Compute
    notifier: Notifier
    asgi: Any
    remote: Remote
    proxy: Proxy
    ssh: SshGateway
    obstacle: str | None = None
    takers: list[Taker] = field(default_factory=list)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Start engines and loops. Raises OSError or LaunchRefused when an engine cannot work here."""
        await self.compute.start()
        await self.proxy.start()
        await self.ssh.start()
        retention = Retention(
            self.db, self.services.blobs, self.services.settings["compute"], self.services.settings["audit"]
        )
        loaded = self.services.settings
        profiler = Profiler(self.db, loaded["compute"], loaded["provisioning"])
        idle = IdleWatch(self.db, self.compute, loaded["interactive"])
        self._tasks.append(asyncio.create_task(idle.run(), name="use of interactive jobs"))
        ours = (self.notifier.loop, idle.loop, retention.loop, profiler.loop)
        for loop in (outbox.relay(self.db), outbox.purger(self.db), *ours):
            self._tasks.append(asyncio.create_task(_seen(loop), name=loop.name))
        tidying = keep_tidy(self.db, self.services.folders, self.services.settings["data"])
        self._tasks.append(asyncio.create_task(tidying, name="tidying up"))
        self._tasks.append(asyncio.create_task(self._flush(), name="token use"))
        self._tasks.append(asyncio.create_task(self.services.desk.forgotten.run(), name="forgotten passwords"))

    async def stop(self) -> None:
        """Stop the loops and let go of the engines; containers go on."""
        await self.ssh.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.proxy.stop()
        await self.compute.stop()
        await self.remote.close()
        await self._note_use()

    def warnings(self) -> list[str]:
        """What this machine cannot isolate, for people."""
        groups = self.compute.groups.values()
        own = [f"the server itself runs as root: {self.obstacle}"] if self.obstacle else []
        return own + [
            text if len(groups) == 1 else f"group {group.name}: {text}"
            for group in groups
            for text in group.host.missing
        ]

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._note_use()

    async def _note_use(self) -> None:
        try:
            await self.services.authenticator.flush()
        except DaisError as error:
            log.warning("when tokens were used could not be noted: %s", error)


def load_settings(data_dir: Path, config: Path | None, known: Mapping[Path, str] | None = None) -> dict[str, Any]:
    """Every package's settings, by its name. Raises Invalid `bad-config`, `bad-setting`.

    The configuration is `config`, else what DAIS_CONFIG names, else `dais.toml` in the data directory or /etc/dais.
    `known` is what root has read of them, for a server that may not.
    """
    check_environment()
    if known:
        place, text = next(iter(known.items()))
        tables = read_config(place, text)
    else:
        tables = read_config(config or _config_file(data_dir))
    return {name: load(struct, tables) for name, struct in registry.items()}


def build(data_dir: Path, loaded: Mapping[str, Any], db: Database, standing: Standing | None = None) -> App:
    """Make every part for a data directory and an open database with the right schema. Nothing is started."""
    standing = standing or Standing()
    data: DataSettings = loaded["data"]
    blobs = open_blobs(data_dir, loaded["store"], reserve=data.reserve_disk)
    folders = FolderStore(data_dir / "folders", reserve=data.reserve_disk)
    vault = Vault(data_dir / KEY_FILE)
    engines: dict[str, Engine] = {"default": LocalEngine(data_dir / "node", loaded["local"], standing.starter)}
    notifier = Notifier(db, vault, loaded["notify"])
    remote = make_remote(data_dir, loaded, vault)
    kinds = engine_kinds(data_dir, loaded, vault, remote)
    compute = Compute(db, engines, blobs, folders, loaded["compute"], data_dir, vault, kinds, loaded["terminal"])
    mailer = Mailer(loaded["notify"])
    desk = SignInDesk(db, vault, loaded["identity"], mailer, lambda: services.url)
    authenticator = Authenticator(db, vault, Addresses(loaded["server"].trusted_proxies))
    callers, identity = ApiCallers(authenticator), loaded["identity"]
    proxy = Proxy(db, compute, vault, callers, loaded["proxy"], identity, lambda: services.url)
    parts = Parts(blobs=blobs, folders=folders, compute=compute, vault=vault, notifier=notifier, desk=desk, doors=proxy)
    services = Services(
        db=db,
        clock=db.clock,
        data_dir=data_dir,
        authenticator=authenticator,
        engines=engines,
        settings=loaded,
        schema=newest_step(),
        limits=UserLimits(loaded["limits"]),
        parts=parts,
    )
    ssh = SshGateway(db, compute, Keyring(data_dir, vault), loaded["ssh"], services.refusals.note)
    services.parts.ssh = ssh
    api = Application(all_routes(), services)
    acai = AcaiApplication(services) if loaded["acai"].enabled else None
    site = _Site(api, FirstUse(lambda: _pages(services)), acai, EaiApplication(services))
    return App(db, services, compute, notifier, site, remote, proxy, ssh, standing.obstacle, takers=[proxy])


def _pages(services: Services) -> Any:
    """The pages, which need templates, and a second to import."""
    from dais import web

    return web.app(services)


class _Site:
    """The API below `/v1`, what ACAI's and the Element AI Toolkit's clients call, the pages everywhere else.

    A token in any address is the API's to refuse and revoke, but ACAI's, where its clients send them.
    """

    def __init__(self, api: Application, pages: Any, acai: AcaiApplication | None, eai: EaiApplication) -> None:
        self._api = api
        self._acai = acai
        self._eai = eai
        self._pages = pages
        self._meter = api.services.meter.of("", "(pages)")
        self._live = api.services.meter.of("WEBSOCKET", "(pages)", timed=False)

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        path = scope["path"]
        if self._acai is not None and self._acai.answers(scope):
            return self._acai(scope, receive, send)
        if self._eai.answers(scope):
            return self._eai(scope, receive, send)
        ours = (
            path.startswith("/v1/")
            or path in ("/v1", "/metrics")
            or bool(tokens_in_address(scope["query_string"], scope.get("raw_path") or b""))
        )
        answers = self._api if ours else self._page
        return answers(scope, receive, send)

    async def _page(self, scope: Any, receive: Any, send: Any) -> None:
        begun = time.perf_counter()
        status = 0

        async def watched(message: Any) -> None:
            nonlocal status
            status = status or message.get("status", 101)
            await send(message)

        live = scope["type"] == "websocket"
        meter = self._live if live else self._meter
        try:
            with meter:
                await self._pages(scope, receive, watched)
        finally:
            meter.note(status, time.perf_counter() - begun)


def _config_file(data_dir: Path) -> Path | None:
    named = os.environ.get("DAIS_CONFIG")
    if named:
        return Path(named)
    places = (data_dir / "dais.toml", Path("/etc/dais/dais.toml"))
    return next((place for place in places if place.is_file()), None)


async def _seen(loop: LeasedLoop) -> None:
    """A loop that ends unasked is a defect that must be seen."""
    try:
        await loop.run()
    except Exception:
        log.exception("the loop %s ended", loop.name)
        raise
