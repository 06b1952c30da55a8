"""A TCP connection to a port inside a running job, over a WebSocket.

Binary messages are the connection's bytes, wherever they are cut; the text message `end` says that one direction has
ended (`wire.tunnel`). One WebSocket is one connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from dais.api.context import Context
from dais.api.routing import Receive, Routes, Scope, Send
from dais.api.taking import TAKE
from dais.compute import Activity, Work, find_job, running_work
from dais.engines.contract import ByteStream, Detachable
from dais.kit.errors import Invalid, Unavailable
from dais.wire.tunnel import End, Plain, Tunnel

routes = Routes()
log = logging.getLogger(__name__)

NOTE_SECONDS = 1.0
"""How often what goes over a connection counts as activity of its job."""
ROOM = 256 << 10
"""Bytes for a stream that does not take them, before its WebSocket is not read."""


@routes.websocket(
    "/v1/jobs/{ref}/ports/{port}", summary="Connect to a TCP port inside a running job", action=("job:get", "job:exec")
)
async def connect_to_port(
    ctx: Context, scope: Scope, receive: Receive, send: Send, ref: str, port: str, account: str | None = None
) -> None:
    """Behind some ports an app may be that lets whoever comes run commands: those take `job:exec`."""
    number = _number(port)
    compute = ctx.services.compute
    work: Work = await ctx.db.read(running_work, ctx.actor, ref, "job:get", account)
    action = compute.apps.port_action(work, number)
    if action != "job:get":
        await ctx.db.read(running_work, ctx.actor, work.job_id, action)
    ctx.hold(partial(find_job, ref=work.job_id, action=action))
    stream = await compute.dial(work, number)
    try:
        with compute.activity.open(work.run_id, "connection"):
            note = _noting(compute.activity, work.run_id)
            from websockets import frames  # the connection has brought it

            unread = compute.settings.app_unread

            def stuck(side: str) -> None:
                who = "the app takes" if side == "connection" else "its client takes"
                log.warning(
                    "a connection to port %d of job %s was cut: a direction has ended, and %s nothing of the rest for "
                    "%g s (DAIS_COMPUTE_APP_UNREAD)", number, work.job_id, who, unread,
                )  # fmt: skip

            unmask = frames.apply_mask  # type: ignore[attr-defined]  # the fast one if any
            tunnel = Tunnel(unmask=unmask, note=note, unread=unread, stuck=stuck)
            end = await _join(tunnel, stream, scope, send)
            await asyncio.shield(tunnel.over)  # cancelled itself it would count as over
            if isinstance(end, StreamEnd):
                await end.written()
    finally:
        await stream.close()


async def _join(tunnel: Tunnel, stream: ByteStream, scope: Scope, send: Send) -> End:
    """Accept the WebSocket, and let both sides speak."""
    take = scope["extensions"].get(TAKE)
    if take is None:
        raise Unavailable("this server does not hand its connections over", code="not-available")
    try:
        transport: asyncio.Transport = take["take"](tunnel)
    except ConnectionError as error:
        raise Unavailable("the client has gone", code="gone") from error
    await send({"type": "websocket.accept"})
    tunnel.speak(transport)
    end: End
    if isinstance(stream, Detachable):
        end, waiting, ended = stream.detach(tunnel.plain)
        if waiting:
            tunnel.take_plain(waiting)
        if ended:
            tunnel.plain_ended()
    else:
        end = StreamEnd(stream, tunnel.plain)
    tunnel.begin(end)
    return end


def _noting(activity: Activity, run_id: str) -> Callable[[], None]:
    loop = asyncio.get_running_loop()
    due = 0.0

    def note() -> None:
        nonlocal due
        now = loop.time()
        if now >= due:
            due = now + NOTE_SECONDS
            activity.note(run_id, "connection")

    return note


def _number(port: str) -> int:
    if port.isascii() and port.isdigit() and 0 < int(port[:6]) < 1 << 16:
        return int(port)
    raise Invalid(f"{port[:40]!r} is no port; write a number from 1 to 65535", code="bad-port")


class StreamEnd:
    """A stream that is no connection of asyncio's, as an end of a tunnel."""

    def __init__(self, stream: ByteStream, plain: Plain) -> None:
        self._stream = stream
        self._plain = plain
        self._held: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._size = 0
        self._stuck = False
        self._may_read = asyncio.Event()
        self._tasks = [asyncio.create_task(self._outward()), asyncio.create_task(self._inward())]

    def write(self, data: bytes | memoryview) -> None:
        self._size += len(data)
        self._held.put_nowait(bytes(data))
        if self._size > ROOM and not self._stuck:
            self._stuck = True
            self._plain.pause_writing()

    def write_eof(self) -> None:
        self._held.put_nowait(None)

    def get_write_buffer_size(self) -> int:
        return self._size

    def pause_reading(self) -> None:
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    def close(self) -> None:
        """What is still held goes first; its last word is the end."""
        self._tasks[1].cancel()

    def abort(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def written(self) -> None:
        """Once the stream has taken what was written, or broke."""
        await asyncio.gather(self._tasks[0], return_exceptions=True)

    async def _outward(self) -> None:
        try:
            while (data := await self._held.get()) is not None:
                await self._stream.send(data)
                self._size -= len(data)
                if self._stuck and self._size <= ROOM // 2:
                    self._stuck = False
                    self._plain.resume_writing()
            await self._stream.send_eof()
        except OSError as error:
            self._plain.connection_lost(error)

    async def _inward(self) -> None:
        try:
            while True:
                await self._may_read.wait()
                data = await self._stream.receive()
                if not data:
                    self._plain.eof_received()
                    return
                self._plain.data_received(data)
        except OSError as error:
            self._plain.connection_lost(error)
