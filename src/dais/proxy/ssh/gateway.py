"""The gateway: a listening socket, the connections that it took, and who may come."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import importlib
import logging
import socket
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from dais.compute import Compute
from dais.identity import Actor, actor_of_token, find_ssh_key, parse_public_key, record, touch_ssh_key
from dais.kit.clock import SECOND, to_rfc3339
from dais.kit.database import Database, UnitOfWork
from dais.kit.errors import DaisError, Invalid, TooMany, Unauthenticated, Unavailable
from dais.proxy.ssh.keyring import Keyring
from dais.proxy.ssh.settings import SshSettings
from dais.proxy.ssh.visit import Proof, Refused, Visit
from dais.wire.ssh import SshCertificate
from dais.wire.ssh import SshGateway as About

if TYPE_CHECKING:
    import asyncssh

    from dais.proxy.ssh.connection import Connection

log = logging.getLogger(__name__)

BACKLOG = 128
SKEW_SECONDS = 300
"""By how much the clocks of machines may differ."""
KEY_ID = "dais:"
"""How the key id of a certificate begins; the token follows that it was asked for with."""
GOODBYE = "Dais restarts or stops; the job goes on: connect again"
END_SECONDS = 3.0


class SshGateway:
    """Made with the server; `listen` takes the port, `start` answers on it. `refused` writes refusals down."""

    def __init__(
        self, db: Database, compute: Compute, keyring: Keyring, settings: SshSettings, refused: Refused
    ) -> None:
        self.settings = settings
        self._db, self._compute, self._keyring, self._refused = db, compute, keyring, refused
        self._sock: socket.socket | None = None
        self._problem = "it is switched off" if not settings.enabled else "it is not started"
        self._port: int | None = None
        self._options: Any = None
        self._preparing = asyncio.Lock()
        self._accepting: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._connections: dict[Connection, str] = {}
        self._addresses: Counter[str] = Counter()
        self._users: Counter[str] = Counter()
        self.authority: asyncssh.SSHKey

    # -- listening -----------------------------------------------------------------------------------------------

    def listen(self, host: str) -> str | None:
        """Take the port; what keeps it from that, if anything: the server works without, and `dais ssh` too."""
        if not self.settings.enabled:
            return None
        host = self.settings.host or host
        port = self.settings.port
        try:
            self._sock = _listening(host, port)
        except OSError as error:
            busy = error.errno == errno.EADDRINUSE
            why = "another program has it" if busy else str(error.strerror or error)
            self._problem = f"port {port} on {host} cannot be listened on: {why}; choose another: [ssh] port"
            return self._problem
        self._port, self._problem = self._sock.getsockname()[1], ""
        return None

    def about(self) -> About:
        """Where it is, and what it shows to be known by. Raises Unavailable `no-ssh`."""
        if not self.settings.enabled:
            raise Unavailable("this installation has no SSH gateway: its setting [ssh] enabled is off", code="no-ssh")
        line = self._keyring.host_line
        digest = hashlib.sha256(line.encode()).hexdigest()
        return About(
            host=self.settings.public_host,
            port=self._port,
            host_key=line,
            alias=f"dais-{digest[:12]}",
            problem=self._problem,
        )

    async def start(self) -> None:
        if self._sock is not None:
            self._accepting = asyncio.create_task(self._accept(self._sock), name="ssh gateway")

    async def stop(self) -> None:
        """Say goodbye to everybody; jobs go on."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        if self._sock is not None:
            self._sock.close()
        for connection in list(self._connections):
            connection.farewell(11, GOODBYE)  # DISC_BY_APPLICATION
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                while self._connections:
                    await next(iter(self._connections)).wait_closed()
                    await asyncio.sleep(0)

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                taken, address = await loop.sock_accept(sock)
            except OSError as error:
                log.warning("a connection of SSH could not be taken: %s", error)
                await asyncio.sleep(0.1)
                continue
            task = loop.create_task(self._taken(taken, str(address[0])))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _taken(self, sock: socket.socket, address: str) -> None:
        try:
            await self.take(sock, address)
        except TooMany as error:
            with contextlib.suppress(OSError):  # what comes before the version is shown by clients
                sock.send(error.message.encode() + b"\r\n")
            sock.close()
        except (DaisError, OSError) as error:
            log.warning("a connection of SSH could not be served: %s", error)
            sock.close()

    async def take(self, sock: socket.socket, address: str) -> None:
        """Speak SSH on a connected socket, which is the gateway's from then on. Raises TooMany, Unavailable."""
        options = await self._prepared()
        if len(self._connections) >= self.settings.connections:
            raise TooMany("this gateway has too many connections; try again later", code="too-many-connections")
        if address and self._addresses[address] >= self.settings.address_connections:
            raise TooMany(f"{address} has too many connections; end some first", code="too-many-connections")
        from dais.proxy.ssh.connection import Connection

        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(partial(Connection, loop, options, self, address), sock=sock)
        self._connections[made] = ""
        self._addresses[address] += 1

    def gone(self, connection: Connection) -> None:
        """A connection has ended."""
        if connection not in self._connections:
            return
        user = self._connections.pop(connection)
        for counter, one in ((self._addresses, connection.client), (self._users, user)):
            counter[one] -= 1
            if counter[one] <= 0:
                del counter[one]
        task = asyncio.get_running_loop().create_task(connection.end_agent())
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    def welcome(self, connection: Connection) -> str:
        """Count a connection as its user's; what is wrong with it, if anything."""
        user = connection.visit.actor.id
        if self._users[user] >= self.settings.user_connections:
            return f"you have {self._users[user]} connections already; end some first"
        self._users[user] += 1
        self._connections[connection] = user
        return ""

    @property
    def too_many_channels(self) -> str:
        return f"this connection has {self.settings.channels} shells, commands and forwarded ports open already"

    # -- who may come ----------------------------------------------------------------------------------------------

    async def let_in_by_key(self, connection: Connection, ref: str, blob: bytes) -> bool:
        """Whether a public key is known; then it is known who has it, if they can sign."""
        try:
            holder = await self._db.read(find_ssh_key, blob=blob)
        except Unauthenticated:
            return False
        key_id = holder.key_id
        self._know(connection, ref, lambda uow: find_ssh_key(uow, key_id=key_id).actor, holder.actor, key_id)
        return True

    async def let_in_by_certificate(self, connection: Connection, ref: str, cert: Any) -> bool:
        """The same for a certificate of our own authority: it is worth what the token is that it was asked for with."""
        text = str(cert._key_id)
        if not text.startswith(KEY_ID):
            return False
        token_id = text.removeprefix(KEY_ID)
        try:
            actor: Actor = await self._db.read(actor_of_token, token_id)
        except Unauthenticated:
            return False
        if actor.id not in cert.principals:
            return False
        self._know(connection, ref, partial(actor_of_token, token_id=token_id), actor, None)
        return True

    def _know(self, connection: Connection, ref: str, find: Proof, actor: Actor, key_id: str | None) -> None:
        from msgspec.structs import replace

        def proof(uow: UnitOfWork) -> Actor:
            return replace(find(uow), address=connection.client)

        # The last key shown is the one that is signed with: asyncssh asks for one after the other.
        known = replace(actor, address=connection.client)
        connection.found = Visit(self._db, self._compute, self._refused, proof, known, ref)
        connection.key_id = key_id

    async def note_use(self, connection: Connection) -> None:
        """Write down when a key was used."""
        if connection.key_id is not None:
            await self._db.write(touch_ssh_key, connection.key_id)

    async def certify(self, actor: Actor, public: str) -> SshCertificate:
        """A certificate for the line of a public key.

        Raises Invalid `bad-ssh-key`, `weak-ssh-key`, `no-token`; Unavailable `no-ssh`.
        """
        self.about()
        key = parse_public_key(public)
        if actor.token_id is None:
            raise Invalid("a certificate rests on a token; ask for it with one", code="no-token")
        await self._prepared()
        import asyncssh

        now = self._db.clock.now()
        until = now + int(self.settings.certificate_hours * 3600) * SECOND
        made = self.authority.generate_user_certificate(
            asyncssh.import_public_key(key.line),
            KEY_ID + actor.token_id,
            principals=[actor.id],
            valid_after=now // SECOND - SKEW_SECONDS,
            valid_before=until // SECOND,
            permit_x11_forwarding=False,
        )
        await self._db.write(_note_certificate, actor, key.fingerprint)
        line = made.export_certificate().decode().strip()
        return SshCertificate(certificate=line, user=f"{actor.organization}.{actor.name}", expires_at=to_rfc3339(until))

    async def _prepared(self) -> Any:
        """asyncssh's options, made with the first connection: it takes memory, and many servers never need it."""
        async with self._preparing:
            if self._options is None:
                await asyncio.to_thread(importlib.import_module, "dais.proxy.ssh.connection")
                from dais.proxy.ssh.options import make_options

                host, authority = await asyncio.to_thread(self._keys)
                self.authority = authority
                self._options = await make_options(host, self.settings)
            return self._options

    def _keys(self) -> tuple[Any, Any]:
        import asyncssh

        return asyncssh.import_private_key(self._keyring.host), asyncssh.import_private_key(self._keyring.authority)


def _listening(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _note_certificate(uow: UnitOfWork, actor: Actor, fingerprint: str) -> None:
    urn = f"{actor.organization_id}:user:{actor.id}"
    detail = '{"ssh":"' + fingerprint + '"}'
    record(uow, actor, "session:new", urn, actor.organization_id, allowed=True, detail=detail)
