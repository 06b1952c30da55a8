"""The ASGI application of the pages: its addresses, the headers of every answer, failures as pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.websockets import WebSocket

from dais.api import Disconnected, HttpProblem, Services
from dais.kit.errors import DaisError, NotFound
from dais.web import transfers
from dais.web.frame import HEADERS, Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.live import Live
from dais.web.pages import cluster, files, folders, job, jobs, log, palette, settings, sign_in, style, submit

Page = Callable[[Request, Frame], Awaitable[Response]]

_headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


async def _home(request: Request, frame: Frame) -> Response:
    return see_other("/jobs")


class _Below(Convertor[str]):
    """A path in a folder: names may hold anything, newlines too."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("below", _Below())

JOBS = "/{organization}/{account}/jobs"
FOLDERS = "/{organization}/{account}/folders"

PAGES: tuple[tuple[str, str, Page], ...] = (
    ("GET", "/", _home),
    ("GET", "/jobs", jobs.show_jobs),
    ("POST", "/jobs/columns", jobs.set_columns),
    ("POST", "/jobs/filters", jobs.save_filter),
    ("GET", "/jobs/{ref}", job.to_its_address),
    ("GET", "/jobs/{ref}/{part}", job.to_its_address),
    ("GET", "/sign-in/{secret}", sign_in.show_link),
    ("POST", "/sign-in/{secret}", sign_in.use_link),
    ("POST", "/sign-out", sign_in.sign_out),
    ("POST", "/theme", settings.set_theme),
    ("POST", "/rail", settings.set_rail),
    ("GET", "/settings", settings.show_settings),
    ("POST", "/settings/sessions/{id}/end", settings.end_session),
    ("GET", "/submit", submit.show_form),
    ("POST", "/submit", submit.submit),
    ("POST", "/submit/check", submit.check),
    ("GET", "/folders", folders.show_folders),
    ("GET", "/folders/new", folders.ask_new),
    ("POST", "/folders/new", folders.make),
    ("GET", "/folders/sizes", folders.sizes),
    ("GET", "/folders/{ref}", folders.to_its_address),
    ("POST", "/uploads/{folder}/compare", transfers.compare),
    ("POST", "/uploads/{folder}/pack", transfers.pack),
    ("PUT", "/uploads/{folder}/file", transfers.piece),
    ("GET", "/cluster", cluster.show_cluster),
    ("GET", "/palette", palette.entries),
    ("GET", "/style", style.show_style),
    # Last, for they begin with names that users choose: a page's first word is found before it.
    ("GET", f"{JOBS}", jobs.show_jobs),
    ("GET", f"{JOBS}/{{ref}}", job.show_job),
    ("GET", f"{JOBS}/{{ref}}/log", log.download_log),
    ("GET", f"{JOBS}/{{ref}}/log/lines", log.lines),
    ("GET", f"{JOBS}/{{ref}}/log/search", log.search),
    ("GET", f"{JOBS}/{{ref}}/log/at", log.at),
    ("GET", f"{JOBS}/{{ref}}/kill", job.ask_kill),
    ("POST", f"{JOBS}/{{ref}}/kill", job.kill),
    ("POST", f"{JOBS}/{{ref}}/retry", job.retry),
    ("GET", f"{FOLDERS}", folders.show_folders),
    ("GET", f"{FOLDERS}/{{name}}", files.show),
    ("POST", f"{FOLDERS}/{{name}}", files.change),
    ("GET", f"{FOLDERS}/{{name}}/{{path:below}}", files.show),
    ("POST", f"{FOLDERS}/{{name}}/{{path:below}}", files.change),
)


class Application:
    """Everything that a browser asks for."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._frame = Frame(services, {path for _, path, _ in PAGES})
        self._live = Live(self._frame)
        self._routes = [
            Route(path, self._page(handler), methods=[method], name=f"{method} {path}")
            for method, path, handler in PAGES
        ]
        self._routes.append(Route("/static/{version}/{name}", self._frame.assets.serve, name="static"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            await (self._live.answer(socket) if scope["path"] == "/live" else socket.close())
        elif scope["type"] == "http":
            await self._http(scope, receive, _Answer(send))

    async def _http(self, scope: Any, receive: Any, send: _Answer) -> None:
        request = Request(scope, receive)
        try:
            await self._services.authenticator.refuse_in_address(
                scope["query_string"], scope.get("raw_path") or scope["path"].encode()
            )
            await self._route(scope)(scope, receive, send)
        except Disconnected:
            return
        except (DaisError, HttpProblem) as error:
            if send.started:
                raise
            await self._frame.failure(request, await self._known(request), error)(scope, receive, send)

    def _route(self, scope: Any) -> Any:
        """What answers a request. Raises NotFound `no-such-page`, HttpProblem 405."""
        allowed: set[str] = set()
        for route in self._routes:
            match, more = route.matches(scope)
            if match is Match.FULL:
                scope.update(more)
                return route.handle
            if match is Match.PARTIAL:
                allowed |= route.methods or set()
        if not allowed:
            raise NotFound(f"there is no page {scope['path'][:200]}", code="no-such-page")
        raise HttpProblem(
            405,
            "This method is not known here",
            f"{scope['method'][:20]} is not possible here; possible are {', '.join(sorted(allowed))}",
            code="method-not-allowed",
            headers={"allow": ", ".join(sorted(allowed))},
        )

    def _page(self, handler: Page) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await handler(request, self._frame)
            except (DaisError, HttpProblem, Disconnected):
                raise
            except Exception as error:  # told under a number; the address, which may hold a secret, stays out of it
                return self._frame.failure(request, None, error)

        return answer

    async def _known(self, request: Request) -> Visitor | None:
        """Who is signed in, for a page that says what went wrong."""
        try:
            return await visitor(request, self._services)
        except DaisError:
            return None


class _Answer:
    """Sends an answer, with the pages' headers where it has not its own."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            given = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in _headers if pair[0] not in given)]
        await self._send(message)


def app(services: Services) -> Application:
    """The pages of one installation, to be mounted beside the API: everything that is not below `/v1` is theirs."""
    return Application(services)
