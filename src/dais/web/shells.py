"""The terminals of pages: each has a WebSocket of its own, for what is in it is not to wait for a page's other news.

A page sends `{"job": …}` with what `dais.api.terminals` says, and is answered as there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from dais.api import Services, TerminalRequest, describe, first_message, look
from dais.compute import Work, find_job, running_work
from dais.identity import CHANGED
from dais.kit.errors import DaisError, Forbidden, NotFound, Unauthenticated
from dais.web.guard import Visitor, check_origin, visitor

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

CHECK_SECONDS = 10.0
"""How often it is asked, without a hint, whether who types is still signed in and may work in the job."""
PAUSE_SECONDS = 0.2
GONE, SIGNED_OUT, REFUSED = 1000, 4401, 4400


class PageRequest(TerminalRequest, frozen=True, kw_only=True):
    """What a page asks for: a shell in a job, by the job's id."""

    job: str


class Shells:
    """Answers the terminals of every open page of this process."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def answer(self, socket: WebSocket) -> None:
        """Serve one terminal until its page goes, the shell ends, or its user may not have it any more."""
        try:
            check_origin(socket)
        except DaisError:
            await socket.close(REFUSED)  # before it was accepted: the handshake is answered with 403
            return
        await socket.accept()
        code = GONE
        try:
            who = await visitor(socket, self._services)
            with self._services.limits.stream(who.actor.id):
                code = await self._serve(socket, who)
        except Unauthenticated:
            code = SIGNED_OUT
        except (WebSocketDisconnect, OSError):
            return  # the page has gone
        except Exception as error:  # said in the page, a defect under a number
            problem, _ = describe(error)
            said = {"kind": "problem", "code": problem.code, "detail": problem.detail}
            with contextlib.suppress(OSError, RuntimeError, WebSocketDisconnect):
                await socket.send_text(msgspec.json.encode(said).decode())
        with contextlib.suppress(OSError, RuntimeError, WebSocketDisconnect):
            await socket.close(code)

    async def _serve(self, socket: WebSocket, who: Visitor) -> int:
        """The code to close with. Raises DaisError, also once the user may not work in the job any more."""
        request: PageRequest = await first_message(cast(Receive, socket.receive), PageRequest)
        # It changes no row, but whoever does it is written down: the audit log is the writing.
        work: Work = await self._services.db.write(running_work, who.actor, request.job, "job:exec")
        looking = asyncio.ensure_future(
            look(self._services, work, who.actor.id, request, cast(Receive, socket.receive), cast(Send, socket.send))
        )
        refused = asyncio.ensure_future(self._refused(socket, work))
        try:
            await asyncio.wait((looking, refused), return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                return looking.result()
            terminals = self._services.compute.terminals
            for held in terminals.of(work.run_id, who.actor.id):
                await terminals.end(held, "refused")
            raise refused.result()
        finally:
            for task in (looking, refused):
                task.cancel()
            await asyncio.gather(looking, refused, return_exceptions=True)

    async def _refused(self, socket: WebSocket, work: Work) -> DaisError:
        """Wait until who types may not go on; why."""
        still = partial(find_job, ref=work.job_id, action="job:exec")
        with self._services.db.hints.subscribe(CHANGED) as hint:
            while True:
                await hint.wait(CHECK_SECONDS)
                try:
                    who = await visitor(socket, self._services)
                    await self._services.db.read(lambda uow, actor: still(uow, actor), who.actor)
                except (Unauthenticated, Forbidden, NotFound) as error:
                    return error
                except DaisError:
                    continue  # the database is away
                await asyncio.sleep(PAUSE_SECONDS)
