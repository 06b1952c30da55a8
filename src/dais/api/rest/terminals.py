"""Shells in running jobs that outlive a connection: the web terminal, for programs."""

from __future__ import annotations

import contextlib
from functools import partial

import msgspec

from dais.api.context import Context
from dais.api.routing import Receive, Routes, Scope, Send
from dais.api.terminals import GONE, TerminalRequest, first_message, look
from dais.compute import Work, find_job, running_work
from dais.kit.clock import to_rfc3339
from dais.kit.errors import DaisError

routes = Routes()


class TerminalAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A shell that the server holds. `viewers` is how many look at it now."""

    id: str
    created_at: str
    rows: int
    cols: int
    viewers: int


@routes.websocket(
    "/v1/jobs/{ref}/terminal", summary="Open a shell in a running job, or come back to one", action="job:exec"
)
async def terminal(
    ctx: Context, scope: Scope, receive: Receive, send: Send, ref: str, account: str | None = None
) -> None:
    work: Work = await ctx.db.write(running_work, ctx.actor, ref, "job:exec", account)
    ctx.hold(partial(find_job, ref=work.job_id, action="job:exec"))
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    code = GONE
    try:
        request = await first_message(receive, TerminalRequest)
        code = await look(ctx.services, work, ctx.actor.id, request, receive, send)
    except DaisError as error:
        problem = {"kind": "problem", "code": error.code, "detail": error.message}
        await send({"type": "websocket.send", "text": msgspec.json.encode(problem).decode()})
    with contextlib.suppress(OSError, RuntimeError):
        await send({"type": "websocket.close", "code": code})


@routes.get("/v1/jobs/{ref}/terminals", summary="Your shells in a running job", action="job:exec")
async def list_terminals(ctx: Context, ref: str, account: str | None = None) -> list[TerminalAnswer]:
    work: Work = await ctx.db.read(running_work, ctx.actor, ref, "job:exec", account)
    return [
        TerminalAnswer(
            id=held.id,
            created_at=to_rfc3339(held.created_at),
            rows=held.rows,
            cols=held.cols,
            viewers=len(held.viewers),
        )
        for held in ctx.services.compute.terminals.of(work.run_id, ctx.actor.id)
    ]


@routes.delete("/v1/jobs/{ref}/terminals/{id}", summary="End one of your shells", status=204, action="job:exec")
async def end_terminal(ctx: Context, ref: str, id: str, account: str | None = None) -> None:  # noqa: A002
    work: Work = await ctx.db.read(running_work, ctx.actor, ref, "job:exec", account)
    terminals = ctx.services.compute.terminals
    for held in terminals.of(work.run_id, ctx.actor.id):
        if held.id == id:  # one that is no more is fine
            await terminals.end(held)
