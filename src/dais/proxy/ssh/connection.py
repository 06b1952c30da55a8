"""asyncssh's connection and channels, as far as Dais wants them otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.channel import SSHServerChannel
from asyncssh.connection import SSHServerConnection
from asyncssh.public_key import CERT_TYPE_USER

from dais.compute import Work
from dais.kit.errors import DaisError, Unauthenticated
from dais.proxy.ssh.agents import AgentRelay, agent_of
from dais.proxy.ssh.forwarding import Forward, open_forward
from dais.proxy.ssh.sessions import JobSession
from dais.proxy.ssh.visit import Visit

if TYPE_CHECKING:
    from dais.proxy.ssh.gateway import SshGateway

log = logging.getLogger(__name__)

AGENT_WINDOW, AGENT_PACKET = 256 << 10, 32 << 10
MOST_VARIABLES, MOST_VARIABLE_BYTES = 64, 64 << 10


class Channel(SSHServerChannel[bytes]):
    """A session's channel that keeps only so many variables of what its client sends."""

    _sent = 0

    def _process_env_request(self, packet: Any) -> bool:
        key, value = packet.get_string(), packet.get_string()
        packet.check_end()
        self._sent += len(key) + len(value)
        if len(self._env) >= MOST_VARIABLES or self._sent > MOST_VARIABLE_BYTES:
            return False
        self._env[key] = value
        return True


class Connection(SSHServerConnection):
    """One client. `visit` is there once it is known who it is; `client` is its address, empty where nobody knows it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: Any, gateway: SshGateway, client: str) -> None:
        super().__init__(loop, options)
        self.gateway = gateway
        self.client = client
        self.found: Visit | None = None
        self.key_id: str | None = None
        self._relay: asyncio.Task[AgentRelay | None] | None = None
        self._wants_agent = False
        self.sessions: set[JobSession] = set()

    def farewell(self, code: int, reason: str) -> None:
        """End it, and let every shell and command say why: a client that loses its only one looks no further."""
        for session in self.sessions:
            session.say(reason)
        self.disconnect(code, reason)

    @property
    def visit(self) -> Visit:
        assert self.found is not None, "a channel before the key was shown"
        return self.found

    @property
    def variables(self) -> dict[str, str]:
        """What SSH tells every program of the connection."""
        return {"SSH_CONNECTION": f"{self.client or '127.0.0.1'} {self._peer_port or 0} 127.0.0.1 22"}

    # -- who it is -------------------------------------------------------------------------------------------

    async def _validate_openssh_certificate(self, username: str, cert: Any) -> Any:
        """The key of a certificate that this installation has signed for a user who may still come, else None.

        asyncssh would compare the principals with the name before the `@`, which is a job's here.
        """
        door = self.get_owner()
        if not isinstance(door, Door) or not door.try_again():
            return None
        try:
            cert.validate(CERT_TYPE_USER, None)  # its kind, and that it holds now
        except ValueError:
            return None
        if cert.signing_key.public_data != self.gateway.authority.public_data or cert.options.get("source-address"):
            return None
        if not await self.gateway.let_in_by_certificate(self, username, cert):
            return None
        self._key_options, self._cert_options = {}, cert.options
        return cert.key

    # -- what it opens -----------------------------------------------------------------------------------------

    def create_server_channel(
        self, encoding: str | None = "", errors: str = "", window: int = 0, max_pktsize: int = 0
    ) -> Channel:
        return Channel(self, self._loop, True, False, False, 0, 1024, None, "strict", self._window, self._max_pktsize)

    async def create_agent_listener(self) -> bool:
        """Note that the client lends its agent; the socket is made in the job with the first command."""
        self._wants_agent = True
        return True

    async def create_agent_connection(
        self, session_factory: Any, *, window: int = AGENT_WINDOW, max_pktsize: int = AGENT_PACKET
    ) -> Any:
        if not self._wants_agent:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "no agent was lent")
        channel = self.create_agent_channel(window, max_pktsize)
        return channel, await channel.open(session_factory)

    async def agent_variables(self, work: Work) -> dict[str, str]:
        """Where the agent is inside the job, if there is one."""
        if not self._wants_agent:
            return {}
        if self._relay is None:
            self._relay = self._loop.create_task(agent_of(self, work))
        relay = await asyncio.shield(self._relay)
        return {"SSH_AUTH_SOCK": relay.path} if relay is not None else {}

    async def end_agent(self) -> None:
        if self._relay is not None:
            relay = await self._relay
            if relay is not None:
                await relay.close()

    @property
    def channels(self) -> int:
        """How many are open."""
        return len(self._channels)


class Door(asyncssh.SSHServer):
    """What asyncssh asks of a connection's owner."""

    def __init__(self) -> None:
        self._tries = 0
        self._watch: asyncio.Task[None] | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        assert isinstance(conn, Connection)
        self._conn = conn

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._conn.gateway.gone(self._conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def auth_completed(self) -> None:
        self._watch = asyncio.get_running_loop().create_task(self._watched())

    def public_key_auth_supported(self) -> bool:
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        if self.try_again():
            return await self._conn.gateway.let_in_by_key(self._conn, username, key.public_data)
        return False

    def try_again(self) -> bool:
        """Count a key that is shown; whether it may be."""
        self._tries += 1
        if self._tries <= self._conn.gateway.settings.tries:
            return True
        self._conn.disconnect(
            asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE,
            f"{self._tries - 1} keys were tried, and none is known here; name one with ssh -i",
        )
        return False

    def session_requested(self) -> JobSession | bool:
        if self._conn.channels >= self._conn.gateway.settings.channels:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, self._conn.gateway.too_many_channels)
        return JobSession(self._conn)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Awaitable[Forward]:
        if self._conn.channels >= self._conn.gateway.settings.channels:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, self._conn.gateway.too_many_channels)
        return open_forward(self._conn.visit, dest_host, dest_port)

    def unix_connection_requested(self, dest_path: str) -> bool:
        raise asyncssh.ChannelOpenError(
            asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED,
            f"Dais forwards ports of a job, and no Unix sockets as {dest_path[:80]}: let it listen on 127.0.0.1",
        )

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        return False  # ssh -R: a job reaches nothing through its visitors

    async def _watched(self) -> None:
        """Note who has come, and end the connection once they may not be there any more."""
        conn = self._conn
        gateway = conn.gateway
        try:
            if refusal := gateway.welcome(conn):
                conn.disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, refusal)
                return
            with contextlib.suppress(DaisError):
                await gateway.note_use(conn)
            error = await conn.visit.until_refused()
        except Unauthenticated as refused:
            error = refused
        log.info("a connection of SSH ends: %s", error.message, extra={"user": conn.visit.actor.id})
        conn.farewell(asyncssh.DISC_BY_APPLICATION, error.message)
