"""The proxy of one server process: takes the connections that are for apps, and knows apps' addresses."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from dais.compute import Activity, Compute, Place, Work, find_job, place_label, placed_job
from dais.identity import Actor, IdentitySettings, get_account
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import Conflict, DaisError, Forbidden, NotFound, Unauthenticated
from dais.kit.vault import Vault
from dais.proxy.callers import Callers
from dais.proxy.cookies import APP_COOKIE, STATE_COOKIE, cookie_name, named, set_cookie
from dais.proxy.entering import COOKIE_SECONDS, new_ticket, take_ticket, write_seal
from dais.proxy.grants import PAGE, Grants
from dais.proxy.http.client import RESERVED, Client
from dais.proxy.http.heads import RequestHead
from dais.proxy.http.onward import Onward
from dais.proxy.http.upstream import Pool, Upstream
from dais.proxy.pages import Answer, redirect, refusal
from dais.proxy.ports import Ports
from dais.proxy.settings import ProxySettings

log = logging.getLogger(__name__)

SWEEP_SECONDS = 1.0
STATE_SECONDS = 600
"""For how long a browser may be on its way: somebody may have to sign in."""
_state = re.compile(r"[A-Za-z0-9_-]{20,64}")


class Offer(Protocol):
    """A connection that the listener gives away."""

    @property
    def transport(self) -> asyncio.Transport: ...
    @property
    def release(self) -> Callable[[], None]: ...


class Proxy:
    """Everything about apps' addresses. `url` says where browsers find Dais, without a slash at the end."""

    def __init__(
        self,
        db: Database,
        compute: Compute,
        vault: Vault,
        callers: Callers,
        settings: ProxySettings,
        identity: IdentitySettings,
        url: Callable[[], str],
    ) -> None:
        self._db = db
        self._vault = vault
        self._url = url
        self.settings = settings
        self.callers = callers
        self.activity: Activity = compute.activity
        self.grants = Grants(db, compute, vault, callers, identity)
        self.grants.public = settings.public
        self.pool = Pool(compute.dial, settings.app_connections)
        self.clients: set[Client] = set()
        first, _, last = settings.ports.partition("-")
        self.ports = Ports(db, (int(first), int(last)), self._arrived) if settings.ports else None
        self._suffix = f".job.{settings.domain}".encode()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def public(self) -> bool:
        """Whether owners may open ports to everybody."""
        return self.settings.public

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    async def start(self) -> None:
        """Begin to look after what is open."""
        if self.ports is not None:
            await self.ports.start()
        self._tasks = [
            asyncio.create_task(self._sweep(), name="connections to apps"),
            asyncio.create_task(self.grants.watch(), name="who may reach apps"),
        ]

    async def stop(self) -> None:
        """Cut everything."""
        if self.ports is not None:
            await self.ports.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in list(self.clients):
            client.cut()
        self.pool.close()

    # -- the listener's taker --------------------------------------------------------------------------------

    def wants(self, target: bytes, hosts: Sequence[bytes]) -> bool:
        """Whether a request is for an app, however its host is written: what is written oddly is refused there."""
        suffix = self._suffix
        return any(suffix in host.lower() for host in hosts)

    def take(self, offer: Offer) -> Client:
        if len(self.clients) >= self.settings.connections:
            self._make_room()
        return Client(self, offer.transport, None, offer.release)

    def _arrived(self, transport: asyncio.Transport, place: Place) -> None:
        """A connection to a port of an app's own."""
        if len(self.clients) >= self.settings.connections:
            self._make_room()
        transport.set_protocol(Client(self, transport, place, lambda: None))

    def _make_room(self) -> None:
        """There are as many connections as may be: the one that has been idle longest goes."""
        idle = [client for client in self.clients if client.idle]
        victim = min(idle or self.clients, key=lambda client: client.deadline)
        victim.cut()

    # -- places ----------------------------------------------------------------------------------------------

    def place_of(self, name: bytes) -> Place:
        """What a host name means."""
        label = name.removesuffix(self._suffix).decode("ascii", "replace") if name.endswith(self._suffix) else ""
        return Place(label=label)

    def cookie_prefix(self, place: Place | None) -> bytes:
        """What apps' cookies carry on a host that several share."""
        return b"" if place is None else f"app-{place.job_id[-8:]}-{place.target}.".encode()

    async def url(self, work: Work, target: str) -> str:
        """The address of an app of a running job, for whoever may reach it; it ends with a slash."""
        return await self._url_of(work.job_id, target)

    async def known_url(self, work: Work, target: str) -> str | None:
        """The same; None where the app would first be given a port of its own."""
        if self.ports is not None and not self.ports.knows(Place(job_id=work.job_id, target=target)):
            return None
        return await self._url_of(work.job_id, target)

    async def _url_of(self, job_id: str, target: str) -> str:
        if self.ports is None:
            found: str = await self._db.read(self._address, job_id, target)
            return found
        port = await self.ports.open(Place(job_id=job_id, target=target))
        if self.settings.ports_url:
            return self.settings.ports_url.replace("{port}", str(port)) + "/"
        return f"http://{urlsplit(self._url()).hostname}:{port}/"

    def _address(self, uow: UnitOfWork, job_id: str, target: str) -> str:
        row, _ = placed_job(uow, Place(job_id=job_id))
        label = place_label(uow, row, get_account(uow, row.account_id).full_name, target)
        base = urlsplit(self._url())
        port = f":{base.port}" if base.port else ""
        return f"{base.scheme}://{label}.job.{self.settings.domain}{port}/"

    # -- the hand-over ---------------------------------------------------------------------------------------

    async def admit(self, actor: Actor, session_id: str, place: Place, state: str, after: str) -> str:
        """Where to send a browser whose session may reach a place: to the app's origin, with a ticket.

        `state` is what the app's origin gave it; without one it is sent there to get it. Raises NotFound, Forbidden.
        """

        def verb(uow: UnitOfWork) -> tuple[str, str, str]:
            row, target = placed_job(uow, place)
            try:
                find_job(uow, actor, row.id, action=self.grants.action_of(target, None))
            except NotFound:
                raise NotFound("no job has this address, or none that you may see", code="no-such-app") from None
            ticket = new_ticket(uow, row.id, session_id, state) if _state.fullmatch(state) else ""
            return row.id, target, ticket

        job_id, target, ticket = await self._db.write(verb)
        address = await self._url_of(job_id, target)
        after = inside(after)
        if not ticket:
            return f"{address[:-1]}{after}"
        return f"{address[:-1]}{RESERVED.decode()}enter?{urlencode({'ticket': ticket, 'next': after})}"

    def turned_away(self, error: DaisError, head: RequestHead, onward: Onward, place: Place) -> Answer:
        """The answer to a request that reaches no app."""
        if isinstance(error, Unauthenticated):
            readable = head.method in (b"GET", b"HEAD") and onward.upgrade is None
            if onward.html and readable and onward.bearer is None:
                return self._to_hand_over(head, onward, place)
            return refusal(error, 401, onward)
        link = self._url()
        if isinstance(error, Conflict) and error.code == PAGE and onward.html and head.method in (b"GET", b"HEAD"):
            return redirect(f"{self._url()}{error.fields['path']}")
        if isinstance(error, Conflict) and error.code == "not-running":
            ended = bool(error.fields.get("ended"))
            return refusal(error, 410 if ended else 503, onward, again=not ended, link=link)
        if isinstance(error, Conflict) and error.code == "nothing-listens":
            return refusal(error, 503, onward, again=True, link=link)
        return refusal(error, None, onward, link=link)

    def foreign(self, onward: Onward) -> Answer:
        """The answer to a request that another page sent with the cookies of the app's."""
        error = Forbidden(
            "this came from another place than the app itself, with a cookie; open the app and do it there",
            code="cross-origin",
        )
        return refusal(error, 403, onward)

    def _to_hand_over(self, head: RequestHead, onward: Onward, place: Place) -> Answer:
        states = [one for one in named(onward.cookies, *self._state_name(onward)) if _state.fullmatch(one)]
        state = states[0] if states else secrets.token_urlsafe(32)
        name = place.label or f"{place.job_id}/{place.target}"
        after = head.target.decode("latin-1")
        query = urlencode({"state": state, "next": after})
        cookie = set_cookie(STATE_COOKIE, state, onward.secured, path=RESERVED.decode(), seconds=STATE_SECONDS)
        return redirect(f"{self._url()}/open/{quote(name)}?{query}", cookie)

    @staticmethod
    def _state_name(onward: Onward) -> tuple[str, bool]:
        return cookie_name(STATE_COOKIE, onward.secured, RESERVED.decode()), False

    async def enter(self, head: RequestHead, onward: Onward, place: Place) -> Answer:
        """Answer what is asked of our own paths at an app's origin: take a ticket for a cookie."""
        path, _, query = head.target.partition(b"?")
        if path != RESERVED + b"enter" or head.method != b"GET":
            return refusal(NotFound("there is nothing here but the way in", code="no-such-path"), 404, onward)
        given = parse_qs(query.decode("latin-1"), max_num_fields=10)
        ticket, after = given.get("ticket", [""])[0], inside(given.get("next", ["/"])[0])
        states = named(onward.cookies, *self._state_name(onward))
        try:
            row, _ = await self._db.read(placed_job, place)
            seal = await self._db.write(take_ticket, ticket, states)
            if seal.job_id != row.id:
                raise Forbidden("this way in is another job's; open the app again from Dais", code="bad-ticket")
        except DaisError as error:
            return refusal(error, None, onward, link=self._url())
        name = f"{APP_COOKIE}{seal.job_id[-8:]}"
        cookie = set_cookie(name, write_seal(self._vault, seal), onward.secured, seconds=COOKIE_SECONDS)
        spent = set_cookie(STATE_COOKIE, "", onward.secured, path=RESERVED.decode(), seconds=0)
        return redirect(after, cookie, spent)

    # -- looking after ---------------------------------------------------------------------------------------

    def unread(self, up: Upstream, seconds: float) -> None:
        """An app takes nothing of what a client had sent before it went."""
        run, port = up.key
        log.warning(
            "a connection to port %d of run %s was cut: its client has gone, and the app takes nothing of the rest for "
            "%g s (DAIS_PROXY_STALL_SECONDS)", port, run, seconds,
        )  # fmt: skip
        up.transport.abort()

    def unexpected(self, error: Exception) -> None:
        log.error("a request for an app failed unexpectedly", exc_info=error)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = self.loop.time()
            for client in [client for client in self.clients if client.deadline < now]:
                client.expired()
            self.pool.sweep(now)


def inside(address: str) -> str:
    """A path of the same origin; anything that could lead elsewhere is its first page."""
    plain = address.startswith("/") and address.isascii() and address.isprintable() and "\\" not in address
    ours = address.startswith(RESERVED.decode())
    return address if plain and not ours and not address.startswith("//") and len(address) < 8192 else "/"
