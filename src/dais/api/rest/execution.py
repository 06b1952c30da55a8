"""A command inside a running job, over a WebSocket.

The first message is JSON `{argv, env, workdir, pty}`. After it every message is binary: one byte of type, then the
payload. From the client: 0 stdin, 1 end of stdin, 2 resize (JSON rows, cols), 3 signal (its name). From the server:
0 ready or refused (JSON), 1 stdout, 2 stderr, 3 exit (JSON `exit_code`).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import msgspec

from dais.api.context import Context
from dais.api.routing import Receive, Routes, Scope, Send
from dais.compute import ActivityKind, find_job, running_work
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


Length = Annotated[int, msgspec.Meta(ge=1, le=65_535)]


class _Size(msgspec.Struct):
    rows: Length
    cols: Length


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
    activity = ctx.services.compute.activity
    kind: ActivityKind = "exec" if request.pty is None else "terminal"
    try:
        with activity.open(work.run_id, kind):
            await _send(send, 0, b'{"ok":true}')
            await _pump(stream, receive, send, partial(activity.note, work.run_id, kind))
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


async def _pump(stream: ExecStream, receive: Receive, send: Send, note: Callable[[], None]) -> None:
    """Carry both ways until the command has ended or the client has gone; `note` that something was sent in."""
    inward = asyncio.create_task(_inward(stream, receive, note))
    outward = asyncio.create_task(_outward(stream, send))
    try:
        done, _ = await asyncio.wait((inward, outward), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (inward, outward):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await asyncio.gather(inward, outward, return_exceptions=True)


async def _inward(stream: ExecStream, receive: Receive, note: Callable[[], None]) -> None:
    """Until the client has gone. What is for a command that has ended is dropped: `_outward` tells how it ended.

    Raises Invalid.
    """
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        data: bytes = message.get("bytes") or b""
        if not data:
            continue
        note()
        with contextlib.suppress(ConnectionError):
            await _pass_on(stream, data[0], data[1:])


async def _pass_on(stream: ExecStream, kind: int, payload: bytes) -> None:
    if kind == 0:
        await stream.send(payload)
    elif kind == 1:
        await stream.send_eof()
    elif kind == 2:
        try:
            size = msgspec.json.decode(payload, type=_Size)
        except msgspec.DecodeError as error:
            raise Invalid(f"a size is not {{rows, cols}}: {error}", code="bad-exec") from error
        await stream.resize(size.rows, size.cols)
    elif kind == 3:
        name = payload.decode("ascii", "replace")
        if f"SIG{name}" not in signal.Signals.__members__:
            raise Invalid(f"there is no signal {name[:20]!r}; name one without SIG, as INT", code="bad-exec")
        await stream.signal(name)


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
