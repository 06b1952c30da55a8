"""Pages: templates filled in, with the headers that every answer carries, and failures as pages."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

import dais
from dais.api import Services, describe
from dais.web import view
from dais.web.ansi import visible
from dais.web.assets import Assets
from dais.web.guard import Visitor

THEME_COOKIE = "dais_theme"
THEMES = ("system", "light", "dark")
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


class Frame:
    """Renders pages for one installation."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.assets = Assets()
        self._templates = Environment(
            loader=PackageLoader("dais.web"),
            autoescape=True,
            finalize=visible,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters |= view.filters
        self._templates.globals |= {
            "asset": self.assets.address,
            "length": view.length,
            "icon": view.icon,
            "nothing": view.NOTHING,
            "version": dais.__version__,
        }

    def page(
        self, request: Request, template: str, who: Visitor | None, *, status: int = 200, **values: Any
    ) -> Response:
        """A whole page."""
        here, query = request.url.path, request.url.query
        html = self._templates.get_template(template).render(
            who=who,
            theme=theme_of(request),
            here=here,
            address=f"{here}?{query}" if query else here,
            now=self.services.clock.now(),
            **values,
        )
        return HTMLResponse(html, status, {"cache-control": "no-store"})

    def part(self, template: str, name: str, *args: Any) -> str:
        """What a macro of a template makes of these arguments, for a page that is open."""
        return str(getattr(self._templates.get_template(template).module, name)(*args))

    def failure(self, request: Request, who: Visitor | None, error: Exception) -> Response:
        """A failure as a page; for those who are not signed in, how to get in."""
        problem, headers = describe(error)
        template = "sign_in_first.html" if problem.status == 401 else "problem.html"
        response = self.page(request, template, who, status=problem.status, problem=problem)
        if "retry-after" in headers:
            response.headers["retry-after"] = headers["retry-after"]
        return response


def theme_of(request: Request) -> str:
    """Light, dark, or what the system says."""
    theme = request.cookies.get(THEME_COOKIE)
    return theme if theme in THEMES else "system"


def see_other(address: str) -> Response:
    """Send the browser on with a GET."""
    return RedirectResponse(address, 303, {"cache-control": "no-store"})
