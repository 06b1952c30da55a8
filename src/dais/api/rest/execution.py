"""A command inside a running job, over a WebSocket.

The first message is JSON `{argv, env, workdir, pty}`. After it every message is binary: one byte of type, then the
payload. From the client: 0 stdin, 1 end of stdin, 2 resize (JSON rows, cols), 3 signal (its name). From the server:
0 ready or refused (JSON), 1 stdout, 2 stderr, 3 exit (JSON `exit_code`).
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

import msgspec

from dais.api.context import Context
from dais.api.routing import Receive, Routes, Scope, Send
from dais.compute import find_job, running_work
from dais.engines.contract import ExecStream, Terminal
from dais.kit.errors import DaisError, Invalid

routes = Routes()

MAX_COMMAND = 1 << 20
FIRST_MESSAGE_SECONDS = 30.0


class ExecRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The command, variables beside the job's own, where to start it, and a terminal if there should be one."""

    argv: tuple[str, ...]
    env: dict[str, str] = {}
    workdir: str | None = None
    pty: Terminal | None = None


class _Size(msgspec.Struct):
    rows: int
    cols: int


@routes.websocket("/v1/jobs/{ref}/exec", summary="Run a command inside a running job", action="job:exec")
async def execute(
    ctx: Context, scope: Scope, receive: Receive, send: Send, ref: str, account: str | None = None
) -> None:
    # It changes no row, but whoever does it is written down: the audit log is the writing.
    work = await ctx.db.write(running_work, ctx.actor, ref, "job:exec", account)
    ctx.hold(partial(find_job, ref=work.job_id, action="job:exec"))
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    try:
        request = await _first(receive)
        stream = await ctx.services.compute.exec(
            work, request.argv, env=request.env, workdir=request.workdir, pty=request.pty
        )
    except DaisError as error:
        await _send(send, 0, msgspec.json.encode({"error": error.code, "message": error.message}))
        await send({"type": "websocket.close", "code": 1000})
        return
    try:
        await _send(send, 0, b'{"ok":true}')
        await _pump(stream, receive, send)
    finally:
        await stream.close()


async def _first(receive: Receive) -> ExecRequest:
    """The request. Raises Invalid."""
    try:
        async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
            message = await receive()
    except TimeoutError as error:
        raise Invalid("no command came; send JSON {argv: […]} first", code="bad-exec") from error
    text = message.get("text") or message.get("bytes") or ""
    if len(text) > MAX_COMMAND:
        raise Invalid(f"the command has more than {MAX_COMMAND:,} bytes", code="bad-exec")
    try:
        request = msgspec.json.decode(text, type=ExecRequest)
    except msgspec.DecodeError as error:
        raise Invalid(f"the first message is not {{argv, env, workdir, pty}}: {error}", code="bad-exec") from error
    if not request.argv or any("\0" in word for word in (*request.argv, *request.env, *request.env.values())):
        raise Invalid("argv must name a command, and nothing may hold NUL", code="bad-exec")
    return request


async def _pump(stream: ExecStream, receive: Receive, send: Send) -> None:
    """Carry both ways until the command has ended or the client has gone."""
    inward = asyncio.create_task(_inward(stream, receive))
    outward = asyncio.create_task(_outward(stream, send))
    try:
        await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
        if outward.done():
            outward.result()
    finally:
        for task in (inward, outward):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await asyncio.gather(inward, outward, return_exceptions=True)


async def _inward(stream: ExecStream, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        data: bytes = message.get("bytes") or b""
        if not data:
            continue
        kind, payload = data[0], data[1:]
        try:
            if kind == 0:
                await stream.send(payload)
            elif kind == 1:
                await stream.send_eof()
            elif kind == 2:
                size = msgspec.json.decode(payload, type=_Size)
                await stream.resize(size.rows, size.cols)
            elif kind == 3:
                await stream.signal(payload.decode("ascii", "replace"))
        except (ConnectionError, BrokenPipeError):
            return  # it has ended; the other direction tells how


async def _outward(stream: ExecStream, send: Send) -> None:
    while True:
        item: Any = await stream.receive()
        if isinstance(item, int):
            await _send(send, 3, msgspec.json.encode({"exit_code": item}))
            await send({"type": "websocket.close", "code": 1000})
            return
        kind, data = item
        await _send(send, kind, data)


async def _send(send: Send, kind: int, payload: bytes) -> None:
    await send({"type": "websocket.send", "bytes": bytes((kind,)) + payload})
