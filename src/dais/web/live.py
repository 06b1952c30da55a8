"""What keeps an open page true: one WebSocket per tab, over which the page says what it shows and is told what changed.

The page sends `{"watch": "jobs" | "job" | "log" | "image", …}` and gets messages with a `kind`. Everything that it is
told is rendered here by the same templates as the page, for whoever the session belongs to, asked again every time.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from dais.api import describe
from dais.compute import SAMPLE_SECONDS, JobLog, get_job, get_report, job_log, running_work
from dais.identity import CHANGED
from dais.kit.errors import Conflict, DaisError, TooMany, Unauthenticated
from dais.kit.outbox import NUMBERED
from dais.web import view
from dais.web.choices import columns_of
from dais.web.frame import Frame
from dais.web.guard import Visitor, check_origin, visitor
from dais.web.pages.apps import apps_of
from dais.web.pages.images import OneImage, image_parts, one_image, read_images
from dais.web.pages.images import Wanted as WantedImages
from dais.web.pages.job import charts_of, parts_of
from dais.web.pages.jobs import Wanted, read_jobs
from dais.web.pages.log import log_message, wire_line

log = logging.getLogger(__name__)

MAX_MESSAGE = 4 << 10
MAX_PER_USER = 64
"""Pages that one user may have open and live at the same time."""
SLOW_SECONDS = 30.0
"""A browser that takes nothing for so long is cut; it comes back and goes on where it was."""
POLL_SECONDS = 5.0
APPS_SECONDS = 5.0
"""How often a job is asked for its apps: it runs a small program, and connects to their ports."""
PAUSE_SECONDS = 0.2
"""The least time between two messages about the same thing."""
CHECK_SECONDS = 10.0
"""How often it is asked, without a hint, whether the reader is still signed in and may follow a log."""
FOLLOW_SECONDS = 0.1
"""How often a log that is followed is looked at."""
PROGRESS_SECONDS = 0.5
"""How often a page is told how far the lines of a long log have been counted."""
NEWEST_LINES = 200
"""Lines that a message about a log carries at most; the page asks for others where it shows them."""

IMAGES = "images"
"""The topic that tells of images and how far they are."""

GONE, RESTARTS, SIGNED_OUT, REFUSED = 1000, 1012, 4401, 4400

Message = dict[str, Any]


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What a page shows. `query` and `account` are the list's, `ref` is the job's.

    Of a log `run` and `stream` (None: the latest, all), and in `total` how many of its lines the page has. Of an image
    `ref` is its id or name, `query` its group, and `total` how far the page has its log.
    """

    watch: Literal["jobs", "job", "apps", "log", "usage", "reports", "images", "image"]
    query: str = ""
    account: str = ""
    ref: str = ""
    run: int | None = None
    stream: int | None = None
    total: int = 0


_read = msgspec.json.Decoder(Watch).decode


class Live:
    """Answers the WebSockets of every open page of this process."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._open: Counter[str] = Counter()

    async def answer(self, socket: WebSocket) -> None:
        """Serve one page until it goes, its session ends, or the server stops."""
        try:
            check_origin(socket)
        except DaisError:
            await socket.close(REFUSED)  # before it was accepted: the handshake is answered with 403
            return
        await socket.accept()
        try:
            who = await visitor(socket, self._frame.services)
        except Unauthenticated:
            await _leave(socket, SIGNED_OUT)
            return
        if self._open[who.actor.id] >= MAX_PER_USER:
            await socket.send_text(_problem(None, _too_many()))
            await _leave(socket, REFUSED)
            return
        self._open[who.actor.id] += 1
        try:
            await _Tab(self._frame, socket, who).run()
        finally:
            self._open[who.actor.id] -= 1


class _Tab:
    """One open page."""

    def __init__(self, frame: Frame, socket: WebSocket, who: Visitor) -> None:
        self._frame = frame
        self._services = frame.services
        self._socket = socket
        self._who = who
        self._sending = asyncio.Lock()
        self._asked = 0
        """How often it was asked anew who is signed in."""
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._over: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        reader = asyncio.create_task(self._listen())
        standing = asyncio.create_task(self._stand())
        stopping = asyncio.create_task(self._services.stopping.wait())
        try:
            await asyncio.wait((reader, stopping, self._over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            tasks = [reader, standing, stopping, *self._watches.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await _leave(self._socket, self._over.result() if self._over.done() else RESTARTS)

    async def _stand(self) -> None:
        """Ask who is signed in when identities change, and now and then; what they follow asks again itself."""
        with self._services.db.hints.subscribe(CHANGED) as hint:
            while True:
                await hint.wait(CHECK_SECONDS)
                try:
                    await visitor(self._socket, self._services)
                except Unauthenticated:
                    self._end(SIGNED_OUT)
                    return
                except DaisError:
                    continue  # the database is away
                self._asked += 1
                await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self) -> None:
        """Begin what the page asks for; what it asked before of that kind ends."""
        while True:
            try:
                text = await self._socket.receive_text()
                watch = _read(text[:MAX_MESSAGE])
            except (WebSocketDisconnect, KeyError):
                self._end(GONE)
                return
            except msgspec.DecodeError:
                self._end(REFUSED)
                return
            before = self._watches.pop(watch.watch, None)
            if before is not None:
                before.cancel()
            self._watches[watch.watch] = asyncio.create_task(self._follow(watch))

    async def _follow(self, watch: Watch) -> None:
        """Send what a watch yields. What goes wrong is told to the page; the rest of it stays live."""
        watchers: dict[str, Callable[[Watch], AsyncIterator[Message]]] = {
            "jobs": self._jobs,
            "job": self._job,
            "apps": self._apps,
            "log": self._log,
            "usage": self._usage,
            "reports": self._reports,
            "images": self._images,
            "image": self._image,
        }
        try:
            async with aclosing(watchers[watch.watch](watch)) as messages:  # type: ignore[type-var]
                async for message in messages:
                    await self._send(msgspec.json.encode(message).decode())
        except Unauthenticated:
            self._end(SIGNED_OUT)
        except (WebSocketDisconnect, TimeoutError, OSError):
            self._end(GONE)
        except Exception as error:
            await self._tell(_problem(watch.watch, error))

    async def _tell(self, text: str) -> None:
        try:
            await self._send(text)
        except (WebSocketDisconnect, TimeoutError, OSError, RuntimeError):
            self._end(GONE)

    async def _send(self, text: str) -> None:
        async with asyncio.timeout(SLOW_SECONDS), self._sending:
            await self._socket.send_text(text)

    def _end(self, code: int) -> None:
        if not self._over.done():
            self._over.set_result(code)

    async def _look(self, verb: Callable[..., Any], *args: Any) -> Any:
        """Read as whoever the session belongs to now. Raises Unauthenticated when it has ended."""
        who = await visitor(self._socket, self._services)
        return await self._services.db.read(verb, who.actor, *args)

    # -- what a page can watch -----------------------------------------------------------------------------

    async def _jobs(self, watch: Watch) -> AsyncIterator[Message]:
        wanted = Wanted.of(dict(parse_qsl(watch.query)), watch.account)
        columns = columns_of(self._socket.cookies)
        async for page in self._changes(read_jobs, wanted):
            now = self._services.clock.now()
            yield {
                "kind": "jobs",
                "rows": self._frame.part("job_rows.html", "rows", page.items, now, columns),
                "older": wanted.address(cursor=page.cursor) if page.cursor else None,
            }

    async def _job(self, watch: Watch) -> AsyncIterator[Message]:
        async for job in self._changes(get_job, watch.ref):
            mark = view.mark(job.state)
            yield {
                "kind": "job",
                "parts": parts_of(self._frame, job, self._who.form_token),
                "title": f"{mark.shape} {view.name_of(job)} · Dais",
                "icon": self._frame.assets.address(view.icon(job.state)),
                "run": job.run_index,
                "alive": job.alive,
            }

    async def _apps(self, watch: Watch) -> AsyncIterator[Message]:
        """The apps of a job, whenever one of them is otherwise than before, or other people reach it."""
        before = ""
        with self._services.db.hints.subscribe(CHANGED) as hint:
            while True:
                job = await self._look(get_job, watch.ref)
                apps = await apps_of(self._services, self._who.actor, job)
                html = self._frame.part("parts/apps.html", "apps_table", job, apps, self._who.form_token)
                if html != before:
                    before = html
                    yield {"kind": "apps", "html": html}
                await asyncio.sleep(PAUSE_SECONDS)
                await hint.wait(APPS_SECONDS)

    async def _changes(self, verb: Callable[..., Any], *args: Any, topic: str = NUMBERED) -> AsyncIterator[Any]:
        """What a verb reads, whenever it is another than before."""
        before = b""
        with self._services.db.hints.subscribe(topic) as hint:
            while True:
                found = await self._look(verb, *args)
                shown = msgspec.json.encode(found)
                if shown != before:
                    before = shown
                    yield found
                await asyncio.sleep(PAUSE_SECONDS)
                await hint.wait(POLL_SECONDS)

    async def _log(self, watch: Watch) -> AsyncIterator[Message]:
        place: JobLog = await self._look(job_log, watch.ref)
        run = place.run_index if watch.run is None else watch.run
        index = self._frame.logs.of(place.job_id, run, watch.stream)
        told = watch.total
        before: object = None
        asked = self._asked
        with self._services.db.hints.subscribe("scheduler") as hint:
            while True:
                whole = await index.extend(place, PROGRESS_SECONDS)
                message = log_message(index, whole=whole)
                if message != before:
                    before = message
                    first = max(told, index.total - NEWEST_LINES)
                    lines = await index.lines(place, first, NEWEST_LINES)
                    told = first + len(lines)
                    yield {"kind": "log", **message, "first": first, "lines": [wire_line(line) for line in lines]}
                if index.over:
                    return
                await asyncio.sleep(PAUSE_SECONDS)
                if whole:
                    await hint.wait(FOLLOW_SECONDS)
                if asked != self._asked:
                    asked = self._asked
                    place = await self._look(job_log, watch.ref)
                else:
                    place = await self._services.compute.logbook.refresh(place)

    async def _reports(self, watch: Watch) -> AsyncIterator[Message]:
        """What a job has reported, whenever it is more."""
        before = None
        while True:
            report = await self._look(get_report, watch.ref)
            if report != before:
                before = report
                yield {
                    "kind": "reports",
                    "html": self._frame.part("parts/reported.html", "reported", *charts_of(report)),
                }
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _images(self, watch: Watch) -> AsyncIterator[Message]:
        wanted = WantedImages.of(dict(parse_qsl(watch.query)))
        async for found in self._changes(read_images, wanted, topic=IMAGES):
            now = self._services.clock.now()
            yield {"kind": "images", "rows": self._frame.part("parts/images.html", "image_rows", found.images, now)}

    async def _image(self, watch: Watch) -> AsyncIterator[Message]:
        """How an image is, and what its build has printed since."""
        told, before = watch.total, b""
        with self._services.db.hints.subscribe(IMAGES) as hint:
            while True:
                known: OneImage = await self._look(one_image, watch.query or None, watch.ref, told)
                afresh = known.next < told  # it is built anew
                if afresh:
                    known = await self._look(one_image, watch.query or None, watch.ref, 0)
                told, shown = known.next, msgspec.json.encode((known.image, known.nodes, known.log))
                if shown != before:
                    before = shown
                    parts = image_parts(self._frame, known)
                    yield {"kind": "image", "parts": parts, "text": known.log, "next": told, "afresh": afresh}
                await asyncio.sleep(PAUSE_SECONDS)
                await hint.wait(POLL_SECONDS)

    async def _usage(self, watch: Watch) -> AsyncIterator[Message]:
        """What a job uses: all that is remembered of its latest run, then each sample as it is taken."""
        meter = self._services.compute.meter
        told, run = 0, -1
        while True:
            job = await self._look(get_job, watch.ref)
            if job.run_index != run:
                told, run = 0, job.run_index
            if job.state == "RUNNING":
                try:
                    samples = await meter.watch(await self._look(running_work, job.id, "job:get"))
                except Conflict:  # it has ended meanwhile
                    samples = []
            else:
                samples = meter.kept(job.runs[-1].id) if job.runs else []
            news = [sample for sample in samples if sample.at > told]
            if news:
                yield {"kind": "usage", "run": run, "fresh": told == 0, "samples": news}
                told = news[-1].at
            await asyncio.sleep(SAMPLE_SECONDS)


def _problem(watch: str | None, error: Exception) -> str:
    problem, _ = describe(error)
    return msgspec.json.encode(
        {"kind": "problem", "watch": watch, "code": problem.code, "detail": problem.detail}
    ).decode()


def _too_many() -> TooMany:
    return TooMany(
        f"{MAX_PER_USER} pages of yours are open and live already; close some, then load this one again",
        code="too-many-pages",
    )


async def _leave(socket: WebSocket, code: int) -> None:
    try:
        await socket.close(code)
    except (RuntimeError, WebSocketDisconnect, OSError):
        pass  # the browser has gone already
