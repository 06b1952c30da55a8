"""Ports of a job that a client forwards (`ssh -L`, `-D`): the job's own localhost, and nothing beyond it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging

import asyncssh

from dais.compute import Work
from dais.engines.contract import ByteStream
from dais.kit.errors import DaisError, Forbidden
from dais.proxy.ssh.pouring import Inbox, Tap
from dais.proxy.ssh.visit import ACTION, Visit
from dais.wire.tunnel import Patience

PIECE = 32 << 10
"""Bytes that an app is given at a time: it is seen that it takes them."""
log = logging.getLogger(__name__)
NOTE_SECONDS = 5.0
"""How often a connection that is used is said to be."""


def is_own(host: str) -> bool:
    """Whether a host name means the job itself."""
    if host.lower() in ("localhost", "localhost.localdomain", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


async def open_forward(visit: Visit, host: str, port: int) -> Forward:
    """A connection to a port of the job. Raises ChannelOpenError, with why not."""
    try:
        work = await visit.again()
        if not is_own(host):
            error = Forbidden(
                f"Dais forwards to the job's own localhost only, not to {host[:80]}: what the job may reach from there "
                "is the job's own to reach",
                code="forward-refused",
                action=ACTION,
                urn=f"{work.job_id}",
            )
            await visit.refused(visit.actor, error)
            raise error
        if not 0 < port < 65536:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, f"there is no port {port}")
        stream = await visit.compute.dial(work, port)
    except Forbidden as error:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, error.message) from error
    except DaisError as error:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, error.message) from error
    return Forward(visit, work, stream)


class Forward(asyncssh.SSHTCPSession[bytes]):
    """One forwarded connection: bytes both ways, each end ended by itself."""

    def __init__(self, visit: Visit, work: Work, stream: ByteStream) -> None:
        self._visit, self._work, self._stream = visit, work, stream
        self._tap = Tap()
        self._task: asyncio.Task[None] | None = None
        self._left = 0
        self._unread = visit.compute.settings.app_unread
        self._patience = Patience(self._unread, self._cut)

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        self._chan = chan
        self._inbox = Inbox(chan.pause_reading, chan.resume_reading)

    def session_started(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._left += len(data)
        self._patience.give("app", len(data))
        self._inbox.put(data)

    def get_write_buffer_size(self) -> int:
        """Bytes that the app has not taken."""
        return self._left

    def _cut(self, _side: str) -> None:
        log.warning(
            "a connection that SSH forwards to job %s was cut: a direction has ended, and the app takes nothing of the "
            "rest for %g s (DAIS_COMPUTE_APP_UNREAD)", self._work.job_id, self._unread,
        )  # fmt: skip
        if self._task is not None:
            self._task.cancel()

    def eof_received(self) -> bool:
        self._inbox.end()
        self._patience.begin({"app": self})
        return True  # the other direction goes on

    def pause_writing(self) -> None:
        self._tap.close()

    def resume_writing(self) -> None:
        self._tap.open()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        inward = loop.create_task(self._inward())
        outward = loop.create_task(self._outward())
        try:
            with self._visit.compute.activity.open(self._work.run_id, "connection"):
                done, _ = await asyncio.wait((inward, outward), return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.exception()  # it has ended; what broke is told by the end of the channel
        finally:
            self._patience.end()
            for task in (inward, outward):
                task.cancel()
            await asyncio.gather(inward, outward, return_exceptions=True)
            self._chan.close()
            await self._stream.close()

    async def _inward(self) -> None:
        while data := await self._inbox.take():
            for start in range(0, len(data), PIECE):
                await self._stream.send(data[start : start + PIECE])
                self._left -= len(data[start : start + PIECE])
        with contextlib.suppress(OSError):
            await self._stream.send_eof()

    async def _outward(self) -> None:
        loop = asyncio.get_running_loop()
        noted = 0.0
        while data := await self._stream.receive():
            await self._tap.wait()
            self._chan.write(data)
            if (now := loop.time()) > noted + NOTE_SECONDS:
                noted = now
                self._visit.compute.activity.note(self._work.run_id, "connection")
        self._chan.write_eof()
        self._patience.begin({"app": self})
