"""Running code in a job: call by call, or over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

import msgspec

from dais.api.context import Context
from dais.api.routing import Receive, Routes, Scope, Send
from dais.compute import CodeDesk, Work, find_job, open_session, running_work
from dais.kit.errors import DaisError, Invalid
from dais.kit.ids import new_id
from dais.wire import answers
from dais.wire.code import (
    CODE_LIMIT,
    CodeFiles,
    CodeRequest,
    CodeResult,
    CodeSession,
    Completions,
    NewCodeSession,
    StoredFile,
    UploadedFile,
)

routes = Routes()

UPLOAD_BODY = 30 << 20
FIRST_MESSAGE_SECONDS = 30.0
FOLLOW_WAIT = 20.0
"""Seconds after which a stream is told `continued` when nothing was printed."""
OVER = ("finished", "exec-timeout")


class Completing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The code of a cell, and where the cursor is in it, in characters (None: at its end)."""

    code: str
    cursor: int | None = None
    kernel: str = "python"


class OfKernel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which kernel."""

    kernel: str = "python"


class Interrupted(msgspec.Struct, frozen=True, kw_only=True):
    """Whether something ran that could be interrupted."""

    interrupted: bool


class Upload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to 20 files of up to 1 MiB."""

    files: list[UploadedFile]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored."""

    files: list[StoredFile]


async def _inside(ctx: Context, ref: str, account: str | None) -> tuple[CodeDesk, Work]:
    # As for commands: it changes no row, but the audit log tells who did it.
    work = await ctx.db.write(running_work, ctx.actor, ref, "job:exec", account)
    return ctx.services.compute.code, work


@routes.post("/v1/code-sessions", summary="Open a session to run code in", action="job:new")
async def open_one(ctx: Context, body: NewCodeSession, account: str | None = None) -> answers.JobDetail:
    """Your session: the one there is, else a warm sandbox where one is ready, else a job that has to start."""
    compute = ctx.services.compute
    made: answers.JobDetail
    made, adopted = await ctx.db.write(open_session, ctx.actor, compute.settings, body, account)
    if adopted:
        await compute.code.adopted(await ctx.db.read(running_work, ctx.actor, made.id, "job:exec"))
    return made


@routes.post("/v1/jobs/{ref}/code", summary="Run code in a job", action="job:exec", max_body=CODE_LIMIT)
async def execute(ctx: Context, ref: str, body: CodeRequest, account: str | None = None) -> CodeResult:
    """Answers when the run has ended or wants input, and after `wait` seconds at the latest: then call again."""
    desk = ctx.services.compute.code
    work: Work = await ctx.db.glance(running_work, ctx.actor, ref, "job:exec", account)
    if body.mode == "continue":
        return await desk.execute(work, body)
    # The audit log's disk need not be waited for before the code runs; before its answer is given it is.
    noted = asyncio.create_task(ctx.db.write(running_work, ctx.actor, work.job_id, "job:exec"))
    try:
        return await desk.execute(work, body)
    finally:
        await asyncio.shield(noted)


@routes.get("/v1/jobs/{ref}/code", summary="Show a job's code session", action="job:exec")
async def session(ctx: Context, ref: str, account: str | None = None) -> CodeSession:
    desk, work = await _inside(ctx, ref, account)
    return await desk.session(work)


@routes.post("/v1/jobs/{ref}/code/interrupt", summary="Interrupt the run of a job's code", action="job:exec")
async def interrupt(ctx: Context, ref: str, account: str | None = None) -> Interrupted:
    desk, work = await _inside(ctx, ref, account)
    return Interrupted(interrupted=await desk.interrupt(work))


@routes.post("/v1/jobs/{ref}/code/restart", summary="Start a kernel anew", status=204, action="job:exec")
async def restart(ctx: Context, ref: str, body: OfKernel, account: str | None = None) -> None:
    """What its cells defined is gone; runs that wait for it end."""
    desk, work = await _inside(ctx, ref, account)
    await desk.restart(work, body.kernel)


@routes.post("/v1/jobs/{ref}/code/complete", summary="Complete a word", action="job:exec", max_body=CODE_LIMIT)
async def complete(ctx: Context, ref: str, body: Completing, account: str | None = None) -> Completions:
    desk, work = await _inside(ctx, ref, account)
    cursor = len(body.code) if body.cursor is None else body.cursor
    return await desk.complete(work, body.code, cursor, body.kernel)


@routes.post("/v1/jobs/{ref}/code/files", summary="Upload small files", action="job:exec", max_body=UPLOAD_BODY)
async def upload(ctx: Context, ref: str, body: Upload, account: str | None = None) -> Stored:
    """Into the job's working directory; what is there is replaced, missing directories are made."""
    desk, work = await _inside(ctx, ref, account)
    return Stored(files=await desk.upload(work, body.files))


@routes.get("/v1/jobs/{ref}/code/files", summary="List a directory of a job", action="job:exec")
async def files(ctx: Context, ref: str, path: str = ".", account: str | None = None) -> CodeFiles:
    desk, work = await _inside(ctx, ref, account)
    return await desk.files(work, path)


@routes.delete("/v1/jobs/{ref}/code/files", summary="Remove a file of a job", status=204, action="job:exec")
async def remove(ctx: Context, ref: str, path: str, recursive: bool = False, account: str | None = None) -> None:
    desk, work = await _inside(ctx, ref, account)
    await desk.remove(work, path, recursive)


@routes.raw("GET", "/v1/jobs/{ref}/code/download", summary="Download a file of a job", action="job:exec")
async def download(
    ctx: Context, scope: Scope, receive: Receive, send: Send, ref: str, path: str, account: str | None = None
) -> None:
    """A file of the job's working directory, as it is."""
    desk, work = await _inside(ctx, ref, account)
    ctx.hold(partial(find_job, ref=work.job_id, action="job:exec"))
    async with contextlib.aclosing(desk.download(work, path)) as pieces:
        first = await anext(pieces)
        headers = [(b"content-type", b"application/octet-stream"), (b"x-content-type-options", b"nosniff")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@routes.websocket("/v1/jobs/{ref}/code/stream", summary="Run code in a job, and follow it", action="job:exec")
async def stream(
    ctx: Context, scope: Scope, receive: Receive, send: Send, ref: str, account: str | None = None
) -> None:
    desk, work = await _inside(ctx, ref, account)
    ctx.hold(partial(find_job, ref=work.job_id, action="job:exec"))
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    try:
        request = await _first(receive)
        await _converse(desk, work, request, receive, send)
    except DaisError as error:
        await _say(send, {"error": error.code, "message": error.message})
    await send({"type": "websocket.close", "code": 1000})


async def _converse(desk: CodeDesk, work: Work, request: CodeRequest, receive: Receive, send: Send) -> None:
    """Answers as they come, until the run is over; a text from the client is a line of input.

    The next one is fetched when the client has taken the last: what a slow one does not read stays in the job.
    """
    run_id = request.run_id or new_id()
    request = msgspec.structs.replace(request, run_id=run_id)
    hearing: asyncio.Task[dict[str, Any]] = asyncio.create_task(receive())  # type: ignore[arg-type]
    try:
        while True:
            asking = asyncio.create_task(
                desk.execute(work, msgspec.structs.replace(request, wait=FOLLOW_WAIT, follow=True))
            )
            try:
                await asyncio.wait((asking, hearing), return_when=asyncio.FIRST_COMPLETED)
                if not asking.done():
                    message = hearing.result()
                    if message["type"] != "websocket.receive":
                        return
                    hearing = asyncio.create_task(receive())  # type: ignore[arg-type]
                    await desk.give(work, run_id, message.get("text") or "")
                answer = await asking
            finally:
                asking.cancel()
            await _say(send, answer)
            if answer.status in OVER:
                return
            request = CodeRequest(mode="continue", run_id=run_id, seq=answer.seq)
            if answer.status == "waiting-input":
                message = await hearing
                if message["type"] != "websocket.receive":
                    return
                hearing = asyncio.create_task(receive())  # type: ignore[arg-type]
                request = CodeRequest(mode="input", run_id=run_id, code=message.get("text") or "")
    finally:
        hearing.cancel()


async def _first(receive: Receive) -> CodeRequest:
    """The request. Raises Invalid."""
    try:
        async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
            message = await receive()
    except TimeoutError as error:
        raise Invalid("no request came; send JSON {mode, code, …} first", code="bad-code") from error
    text = message.get("text") or message.get("bytes") or ""
    if len(text) > CODE_LIMIT:
        raise Invalid(f"the request has more than {CODE_LIMIT:,} bytes", code="bad-code")
    try:
        return msgspec.json.decode(text, type=CodeRequest)
    except msgspec.DecodeError as error:
        raise Invalid(f"the first message is no request to run code: {error}", code="bad-code") from error


async def _say(send: Send, answer: Any) -> None:
    await send({"type": "websocket.send", "text": msgspec.json.encode(answer).decode()})
