"""The ASGI application of the pages: its addresses, the headers of every answer, failures as pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from jinja2 import BytecodeCache
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.websockets import WebSocket

from dais.api import Disconnected, HttpProblem, Services
from dais.kit.database import failures
from dais.kit.errors import DaisError, Forbidden, NotFound, Unauthenticated
from dais.web import transfers
from dais.web.addressing import SETTINGS, Handler, Page, page
from dais.web.frame import HEADERS, Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.live import Live
from dais.web.pages import (
    apps,
    cluster,
    coming_in,
    device,
    files,
    folders,
    image_making,
    images,
    job,
    jobs,
    lake,
    lineage,
    log,
    meta,
    opening,
    palette,
    passkeys,
    registries,
    settings,
    sign_in,
    sso,
    style,
    submit,
    templates,
)
from dais.web.pages.access import audit, invitations, policies, roles, teams, users, who
from dais.web.pages.access.shared import remove_one
from dais.web.shells import Shells

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
TEMPLATES = "/{organization}/{account}/templates"
FILES = "/{organization}/{account}/files"
FILE_SETS = "/{organization}/{account}/filesets"

ACCESS: tuple[Page, ...] = (
    page("GET", "/access", who.show_who, own="their own rules; those of others take policy:get"),
    page("GET", "/access/users", users.show_users, action="user:list"),
    page("GET", "/access/users/new", users.ask_new, action="user:new"),
    page("POST", "/access/users/new", users.make, action="user:new"),
    page("GET", "/access/users/{id}", users.show_user, action="user:get"),
    page("POST", "/access/users/{id}", users.change, action="user:set"),
    page("POST", "/access/users/{id}/disable", users.disable, action="user:rm"),
    page("POST", "/access/users/{id}/enable", users.enable, action="user:rm"),
    page("POST", "/access/users/{id}/policies", policies.attach("user"), action="policy:new"),
    page("POST", "/access/users/{id}/tokens/{token_id}/end", users.end_token, action="token:rm"),
    page("GET", "/access/teams", teams.show_teams, action="team:list"),
    page("POST", "/access/teams", teams.make, action="team:new"),
    page("GET", "/access/teams/{id}", teams.show_team, action="team:get"),
    page("POST", "/access/teams/{id}", teams.rename, action="team:set"),
    page("POST", "/access/teams/{id}/remove", teams.remove, action="team:rm"),
    page("POST", "/access/teams/{id}/members", teams.add_member, action="team:set"),
    page("POST", "/access/teams/{id}/members/remove", teams.drop_member, action="team:set"),
    page("POST", "/access/teams/{id}/policies", policies.attach("team"), action="policy:new"),
    page("GET", "/access/roles", roles.show_roles, action="role:list"),
    page("POST", "/access/roles", roles.make, action="role:new"),
    page("GET", "/access/roles/{id}", roles.show_role, action="role:get"),
    page("POST", "/access/roles/{id}/remove", roles.remove, action="role:rm"),
    page("POST", "/access/roles/{id}/members", roles.add_member, action="role:set"),
    page("POST", "/access/roles/{id}/members/remove", roles.drop_member, action="role:set"),
    page("POST", "/access/roles/{id}/policies", policies.attach("role"), action="role:set"),
    page("POST", "/access/roles/{id}/keys", roles.make_key, action="role:set"),
    page("POST", "/access/roles/{id}/keys/{key}/end", roles.end_key, action="role:set"),
    page("GET", "/access/invitations", invitations.show_invitations, action="invitation:list"),
    page("POST", "/access/invitations", invitations.invite, action="invitation:new"),
    page("POST", "/access/invitations/{id}/take-back", invitations.take_back, action="invitation:rm"),
    page("GET", "/access/audit", audit.show_audit, action="audit:list"),
    page("POST", "/access/policies/{id}/remove", remove_one, action="policy:rm"),
)

PAGES: tuple[Page, ...] = (
    *SETTINGS,
    page("GET", "/", _home, own="it leads on"),
    page("GET", "/jobs", jobs.show_jobs, action="job:list"),
    page("POST", "/jobs/columns", jobs.set_columns, own="what their browser shows"),
    page("POST", "/jobs/filters", jobs.save_filter, own="what their browser keeps"),
    page("GET", "/jobs/{ref}", job.to_its_address, action="job:get"),
    page("GET", "/jobs/{ref}/{part}", job.to_its_address, action="job:get"),
    page("GET", "/open/{label}", opening.by_label, action="job:get"),
    page("GET", "/open/{ref}/{target}", opening.by_job, action="job:get"),
    page("GET", "/sign-in", sign_in.show_form, public="it lets people in"),
    page("POST", "/sign-in", sign_in.by_password, public="it lets people in"),
    page("GET", "/sign-in/code", sign_in.show_code, public="the unfinished sign-in is checked"),
    page("POST", "/sign-in/code", sign_in.by_code, public="the unfinished sign-in is checked"),
    page("GET", "/sign-in/device", sign_in.show_device, public="the unfinished sign-in is checked"),
    page("POST", "/sign-in/device", sign_in.set_device, public="the unfinished sign-in is checked"),
    page("GET", "/sign-in/password", sign_in.show_password, public="the unfinished sign-in is checked"),
    page("POST", "/sign-in/password", sign_in.set_password, public="the unfinished sign-in is checked"),
    page("GET", "/sign-in/forgotten", coming_in.show_forgotten, public="it mails those who have the address"),
    page("POST", "/sign-in/forgotten", coming_in.forgotten, public="it mails those who have the address"),
    page("GET", "/invitations/{secret}", coming_in.show_invitation, public="the invitation itself is checked"),
    page("POST", "/invitations/{secret}", coming_in.accept, public="the invitation itself is checked"),
    page("GET", "/sign-in/with/{name}", sso.go_there, public="it lets people in"),
    page("GET", "/sign-in/with/{name}/back", sso.come_back, public="what the provider says is checked"),
    page("POST", "/sign-in/passkey/ask", passkeys.ask_first, public="it lets people in"),
    page("POST", "/sign-in/passkey", passkeys.by_passkey, public="the passkey is checked"),
    page("POST", "/sign-in/code/passkey/ask", passkeys.ask_second, public="the unfinished sign-in is checked"),
    page("POST", "/sign-in/code/passkey", passkeys.by_second, public="the unfinished sign-in is checked"),
    page("GET", "/sign-in/{secret}", sign_in.show_link, public="the link itself is checked"),
    page("POST", "/sign-in/{secret}", sign_in.use_link, public="the link itself is checked"),
    page("GET", "/device", device.show_device, action="token:new"),
    page("POST", "/device", device.decide, action="token:new"),
    page("POST", "/sign-out", sign_in.sign_out, own="it ends their session"),
    page("POST", "/theme", settings.set_theme, public="it is kept in the browser"),
    page("POST", "/rail", settings.set_rail, public="it is kept in the browser"),
    page("GET", "/submit", submit.show_form, action="job:new"),
    page("POST", "/submit", submit.submit, action="job:new"),
    page("POST", "/submit/check", submit.check, action="job:new"),
    page("GET", "/templates", templates.show_templates, action="job:list"),
    page("GET", "/folders", folders.show_folders, action="data:list"),
    page("GET", "/folders/new", folders.ask_new, action="data:new"),
    page("POST", "/folders/new", folders.make, action="data:new"),
    page("GET", "/folders/sizes", folders.sizes, action="data:list"),
    page("GET", "/folders/{ref}", folders.to_its_address, action="data:get"),
    page("POST", "/uploads/{folder}/compare", transfers.compare, action="data:get"),
    page("POST", "/uploads/{folder}/pack", transfers.pack, action="data:set"),
    page("PUT", "/uploads/{folder}/file", transfers.piece, action="data:set"),
    page("GET", "/files", lake.show_files, action="file:list"),
    page("GET", "/filesets", lake.show_sets, action="fileset:list"),
    page("GET", "/find", meta.show_find, action=meta.READS),
    page("GET", "/cluster", cluster.show_cluster, action=("group:list", "node:list")),
    page("GET", "/cluster/attach", cluster.ask_new, action="group:new"),
    page("POST", "/cluster/attach", cluster.attach, action="group:new"),
    page("GET", "/cluster/groups/{name}", cluster.show_group, action="group:get"),
    page("POST", "/cluster/groups/{name}", cluster.change, action="group:set"),
    page("POST", "/cluster/groups/{name}/detach", cluster.detach, action="group:rm"),
    page("GET", "/images", images.show_images, action="image:list"),
    page("GET", "/images/new", images.ask_new, action="image:new"),
    page("POST", "/images/new", images.make, action="image:new"),
    page("GET", "/images/build", image_making.ask_build, action="image:new"),
    page("POST", "/images/build", image_making.build, action="image:new"),
    page("POST", "/images/rescan", images.rescan, action="image:new"),
    page("GET", "/images/{name}", images.show_image, action="image:get"),
    page("GET", "/images/{name}/log", images.show_log, action="image:get"),
    page("POST", "/images/{name}/pull", images.pull, action="image:set"),
    page("POST", "/images/{name}/aliases", images.alias, action="image:set"),
    page("POST", "/images/{name}/import", images.relabel, action="image:new"),
    page("POST", "/images/{name}/remove", images.remove, action="image:rm"),
    page("GET", "/registries", registries.show_registries, action="installation:get"),
    page("POST", "/registries", registries.make, action="installation:set"),
    page("POST", "/registries/allowed", registries.allow, action="installation:set"),
    page("GET", "/registries/{host}", registries.show_registry, action="installation:get"),
    page("POST", "/registries/{host}", registries.change, action="installation:set"),
    page("POST", "/registries/{host}/test", registries.test, action="installation:set"),
    page("POST", "/registries/{host}/rescan", registries.rescan, action="installation:set"),
    page("POST", "/registries/{host}/remove", registries.remove, action="installation:set"),
    page("GET", "/palette", palette.entries, action=("job:list", "data:list")),
    *ACCESS,
    page("GET", "/style", style.show_style, own="it shows no data"),
    # Last, for they begin with names that users choose: a page's first word is found before it.
    page("GET", f"{JOBS}", jobs.show_jobs, action="job:list"),
    page("GET", f"{JOBS}/{{ref}}", job.show_job, action="job:get"),
    page("GET", f"{JOBS}/{{ref}}/lineage", lineage.show_job, action="job:get"),
    page("GET", f"{JOBS}/{{ref}}/log", log.download_log, action="job:logs"),
    page("GET", f"{JOBS}/{{ref}}/log/lines", log.lines, action="job:logs"),
    page("GET", f"{JOBS}/{{ref}}/log/search", log.search, action="job:logs"),
    page("GET", f"{JOBS}/{{ref}}/log/at", log.at, action="job:logs"),
    page("POST", f"{JOBS}/{{ref}}/apps", apps.open_app, action=("job:get", "job:exec")),
    page("GET", f"{JOBS}/{{ref}}/expose", apps.ask_expose, action="job:set"),
    page("POST", f"{JOBS}/{{ref}}/expose", apps.expose, action="job:set"),
    page("GET", f"{JOBS}/{{ref}}/kill", job.ask_kill, action="job:kill"),
    page("POST", f"{JOBS}/{{ref}}/kill", job.kill, action="job:kill"),
    page("POST", f"{JOBS}/{{ref}}/reproduce", job.reproduce, action="job:new"),
    page("GET", f"{JOBS}/{{ref}}/commit", image_making.ask_commit, action="job:exec"),
    page("POST", f"{JOBS}/{{ref}}/commit", image_making.commit, action="job:exec"),
    page("POST", f"{JOBS}/{{ref}}/retry", job.retry, action="job:new"),
    page("GET", "/{organization}/{account}/find", meta.show_find, action=meta.READS),
    page("POST", "/{organization}/{account}/meta", meta.change, action=meta.WRITES),
    page("GET", TEMPLATES, templates.show_templates, action="job:list"),
    page("GET", f"{TEMPLATES}/{{ref}}", templates.show_template, action="job:get"),
    page("POST", f"{TEMPLATES}/{{ref}}", templates.submit, action="job:new"),
    page("GET", f"{FILES}", lake.show_files, action=("file:list", "file:get")),
    page("GET", f"{FILES}/content", lake.download, action="file:get"),
    page("GET", f"{FILE_SETS}", lake.show_sets, action="fileset:list"),
    page("GET", f"{FILE_SETS}/{{name}}", lake.show_set, action="fileset:get"),
    page("GET", f"{FILE_SETS}/{{name}}/lineage", lineage.show_set, action="fileset:get"),
    page("GET", f"{FOLDERS}", folders.show_folders, action="data:list"),
    page("GET", f"{FOLDERS}/{{name}}", files.show, action="data:get"),
    page("POST", f"{FOLDERS}/{{name}}", files.change, action="data:set"),
    page("GET", f"{FOLDERS}/{{name}}/{{path:below}}", files.show, action="data:get"),
    page("POST", f"{FOLDERS}/{{name}}/{{path:below}}", files.change, action="data:set"),
)

STATIC = page("GET", "/static/{version}/{name}", None, public="styles and scripts are the same for everybody")
LIVE = page("WEBSOCKET", "/live", None, action=("job:list", "job:get", "job:logs"))
SHELL = page("WEBSOCKET", "/shell", None, action="job:exec")
ALL = (*PAGES, STATIC, LIVE, SHELL)
"""Every address of the pages, with what it asks for."""


class Application:
    """Everything that a browser asks for."""

    def __init__(self, services: Services, compiled: BytecodeCache | None) -> None:
        self._services = services
        self._frame = Frame(services, {page.path for page in PAGES}, compiled)
        self._live = Live(self._frame)
        self._shells = Shells(services)
        self._routes = [
            Route(page.path, self._page(page.handler), methods=[page.method], name=f"{page.method} {page.path}")
            for page in PAGES
            if page.handler is not None
        ]
        self._routes.append(Route(STATIC.path, self._frame.assets.serve, name="static"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._services.authenticator.addresses.secured(scope):  # then cookies are for TLS alone
            scope["scheme"] = {"http": "https", "ws": "wss"}.get(scope["scheme"], scope["scheme"])
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            if scope["path"] == LIVE.path:
                await self._live.answer(socket)
            elif scope["path"] == SHELL.path:
                await self._shells.answer(socket)
            else:
                await socket.close()
        elif scope["type"] == "http":
            await self._http(scope, receive, _Answer(send))

    async def _http(self, scope: Any, receive: Any, send: _Answer) -> None:
        request = Request(scope, receive)
        failed: list[DaisError] = []
        failures.set(failed)
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
            await self._note(request, failed if error in failed else [*failed, error])
            ways = await sso.ways_in(self._frame) if isinstance(error, Unauthenticated) else []
            await self._frame.failure(request, await self._known(request), error, ways)(scope, receive, send)

    async def _note(self, request: Request, failed: Sequence[Exception]) -> None:
        """Write down what was refused, also where the page shows it beside its form."""
        for error in failed:
            if isinstance(error, Forbidden):
                who = await self._known(request)
                await self._services.refusals.note(who.actor if who is not None else None, error)

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

    def _page(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                response = await handler(request, self._frame)
            except (DaisError, HttpProblem, Disconnected):
                raise
            except Exception as error:  # told under a number; the address, which may hold a secret, stays out of it
                return self._frame.failure(request, None, error)
            await self._note(request, failures.get() or [])  # what it says beside a form
            return response

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


def app(services: Services, compiled: BytecodeCache | None = None) -> Application:
    """The pages of one installation, to be mounted beside the API: everything that is not below `/v1` is theirs.

    `compiled` keeps templates for the pages of other installations in the same process.
    """
    return Application(services, compiled)
