"""Pages: templates filled in, with the headers that every answer carries, and failures as pages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from jinja2 import BytecodeCache, Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

import dais
from dais.api import Services, describe
from dais.identity import IdentityProvider, RelyingParty, Site
from dais.web import places, view
from dais.web.ansi import visible
from dais.web.assets import Assets
from dais.web.guard import Visitor, local
from dais.web.log_index import LogIndexes

THEME_COOKIE = "dais_theme"
THEMES = ("system", "light", "dark")
RAIL_COOKIE = "dais_rail"
RAILS = ("wide", "icons")
YEAR = 365 * 86_400

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Nothing is told to other origins. Not `no-referrer`: with it browsers send `Origin: null` with forms, and there
    # would be nothing to tell ours from others' by.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""What every answer of the pages carries."""


SECTIONS = (
    ("jobs", "Jobs", "/jobs", ("/jobs", "/submit", "/templates")),
    ("data", "Data", "/folders", ("/folders", "/files", "/filesets", "/find")),
    ("cluster", "Cluster", "/cluster", ("/cluster", "/images", "/registries")),
    ("access", "Access", "/access/users", ("/access",)),
    ("settings", "Settings", "/settings", ("/settings",)),
)
"""The rail: a section's name (and icon), its word, its address, and the beginnings of the addresses that are in it."""

PLACES = {
    "jobs": "jobs",
    "templates": "jobs",
    "folders": "data",
    "files": "data",
    "filesets": "data",
    "find": "data",
}
"""The section of what is in an account, by the word after organization and account."""


class Frame:
    """Renders pages for one installation. `known` are the addresses that there are: the rail shows no others.

    `compiled` keeps templates for others of the same process.
    """

    def __init__(self, services: Services, known: Collection[str], compiled: BytecodeCache | None = None) -> None:
        self.services = services
        self._known = frozenset(known)
        self.assets = Assets()
        self._logs: LogIndexes | None = None
        self._relying: RelyingParty | None = None
        self._templates = Environment(
            loader=PackageLoader("dais.web"),
            autoescape=True,
            finalize=visible,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            bytecode_cache=compiled,
        )
        self._templates.filters |= view.filters | places.filters
        self._templates.globals |= {
            "asset": self.assets.address,
            "length": view.length,
            "tab_icon": view.icon,
            "nothing": view.NOTHING,
            "sections": self.sections,
            "knows": self.knows,
            "passkey_site": self.passkey_site,
            "version": dais.__version__,
        }

    def page(
        self, request: Request, template: str, who: Visitor | None, *, status: int = 200, **values: Any
    ) -> Response:
        """A whole page. `account` among the values is the full name of the one that the page is about."""
        here, query = request.url.path, request.url.query
        values.setdefault("account", None)
        values.setdefault("ways", ())
        html = self._templates.get_template(template).render(
            who=who,
            theme=_chosen(request, THEME_COOKIE, THEMES),
            rail=_chosen(request, RAIL_COOKIE, RAILS),
            here=here,
            here_section=_section(here),
            address=f"{here}?{query}" if query else here,
            now=self.services.clock.now(),
            **values,
        )
        return HTMLResponse(html, status, {"cache-control": "no-store"})

    def part(self, template: str, name: str, *args: Any) -> str:
        """What a macro of a template makes of these arguments, for a page that is open."""
        return str(getattr(self._templates.get_template(template).module, name)(*args))

    @property
    def logs(self) -> LogIndexes:
        """Where the lines of logs are."""
        if self._logs is None:
            self._logs = LogIndexes(self.services.compute.logbook)
        return self._logs

    @property
    def relying_party(self) -> RelyingParty:
        """What talks to identity providers."""
        if self._relying is None:
            self._relying = RelyingParty(self.services.vault, self.services.clock)
        return self._relying

    def passkey_site(self) -> Site | None:
        """What passkeys are made for; None where browsers make none for the installation's address."""
        return Site.of(self.services.url)

    def sections(self, account: str | None) -> list[tuple[str, str, str]]:
        """The rail's entries: name, word and address; jobs and folders are of the account that the page is about."""
        base = view.place(account) if account else ""
        return [
            (name, word, f"{base}{address}" if name in ("jobs", "data") else address)
            for name, word, address, _ in SECTIONS
            if address in self._known
        ]

    def knows(self, address: str) -> bool:
        """Whether there is such a page."""
        return address in self._known

    def failure(
        self, request: Request, who: Visitor | None, error: Exception, ways: Sequence[IdentityProvider] = ()
    ) -> Response:
        """A failure as a page; for those who are not signed in, how to get in, also by which providers (`ways`)."""
        problem, headers = describe(error)
        if request.headers.get("accept", "").startswith("application/json"):  # a module of a page asked, not a reader
            return answer_json(problem, problem.status)
        template = "sign_in_first.html" if problem.status == 401 else "problem.html"
        after = _after(request)
        response = self.page(request, template, who, status=problem.status, problem=problem, next=after, ways=ways)
        if "retry-after" in headers:
            response.headers["retry-after"] = headers["retry-after"]
        return response


def _after(request: Request) -> str:
    """Where whoever signs in now wanted to go."""
    path, query = request.url.path, request.url.query
    if request.method != "GET" or path.startswith(("/sign-in", "/invitations")):
        return "/"
    return local(f"{path}?{query}" if query else path)


def _chosen(request: Request, cookie: str, choices: Sequence[str]) -> str:
    """What the reader chose in this browser, else the first of the choices."""
    given = request.cookies.get(cookie, "")
    return given if given in choices else choices[0]


def _section(here: str) -> str | None:
    """The section of the rail that an address is in; those of jobs and folders begin with organization and account."""
    for name, _, _, beginnings in SECTIONS:
        if any(here == beginning or here.startswith(f"{beginning}/") for beginning in beginnings):
            return name
    parts = here.split("/")
    return PLACES.get(parts[3]) if len(parts) > 3 else None


def answer_json(value: Any, status: int = 200) -> Response:
    """What a module of a page asked for."""
    return Response(msgspec.json.encode(value), status, {"cache-control": "no-store"}, "application/json")


def see_other(address: str) -> Response:
    """Send the browser on with a GET."""
    return RedirectResponse(address, 303, {"cache-control": "no-store"})


def remember(request: Request, response: Response, cookie: str, value: str) -> Response:
    """Let this browser keep a choice of its reader for a year."""
    secure = request.url.scheme == "https"
    response.set_cookie(cookie, value, max_age=YEAR, path="/", httponly=True, secure=secure, samesite="lax")
    return response
