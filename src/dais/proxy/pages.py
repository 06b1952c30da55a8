"""What Dais itself answers at an app's address: problems for programs, small pages for people."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from dais.kit.errors import Conflict, DaisError, Forbidden, Invalid, NotFound, TooMany, Unauthenticated, Unavailable
from dais.proxy.http.heads import BadHead
from dais.wire.answers import Problem

if TYPE_CHECKING:
    from dais.proxy.http.onward import Onward

REFRESH_SECONDS = 2
_statuses: dict[type[DaisError], int] = {
    Invalid: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooMany: 429,
    Unavailable: 503,
}
_titles = {
    400: "The request is wrong",
    401: "Who is asking is not known",
    403: "Not allowed",
    404: "There is no such app",
    410: "The job has ended",
    502: "The app did not answer",
    503: "The app is not there yet",
    504: "The app is too slow",
}
_style = (
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto;"
    "padding:0 1.25rem;overflow-wrap:anywhere}h1{font-size:20px}p{margin:.75rem 0}"
)
_policy = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_style.encode()).digest()).decode()
    + "'"
)


@dataclass(slots=True)
class Answer:
    """A whole answer. `keep`: the connection may go on after it."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    keep: bool = True

    def bytes(self, keep: bool, bodiless: bool) -> bytes:
        """As it is sent."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"Content-Length: {len(self.body)}")
        lines.append("Cache-Control: no-store")
        lines.append("Connection: keep-alive" if keep else "Connection: close")
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        return head if bodiless else head + self.body


def redirect(address: str, *cookies: bytes) -> Answer:
    """Lead a browser on. `address` is ours: it holds no line end."""
    headers = [("Location", address), ("Referrer-Policy", "no-referrer")]
    return Answer(303, headers + [("Set-Cookie", cookie.decode("latin-1")) for cookie in cookies])


def refusal(
    error: Exception, status: int | None, onward: Onward | None, *, again: bool = False, link: str = ""
) -> Answer:
    """What went wrong, for whoever asks; `again`: it may be there in a moment; `link` leads to the job's page."""
    code, words, fields = "internal-error", "This is a fault of Dais; the server's log tells more", {}
    if isinstance(error, BadHead):
        code, words = "bad-request", str(error)
    elif isinstance(error, DaisError):
        code, words, fields = error.code, error.message, error.fields
        status = status or next((found for family, found in _statuses.items() if isinstance(error, family)), 500)
    status = status or 500
    title = _titles.get(status, HTTPStatus(status).phrase)
    headers = [("X-Content-Type-Options", "nosniff")]
    if status == 401:
        headers.append(("WWW-Authenticate", 'Bearer realm="dais"'))
    if again or status == 429:
        headers.append(("Retry-After", str(REFRESH_SECONDS)))
    keep = not isinstance(error, BadHead)
    if onward is None or not onward.html:
        problem = Problem(
            type=f"urn:dais:problem:{code}", title=title, status=status, detail=words, code=code, fields=fields
        )
        body = msgspec.json.encode(problem, enc_hook=str)
        return Answer(status, [*headers, ("Content-Type", "application/problem+json")], body, keep)
    headers += [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", _policy)]
    headers.append(("Referrer-Policy", "no-referrer"))
    return Answer(status, headers, _page(title, words, again, link), keep)


def _page(title: str, words: str, again: bool, link: str) -> bytes:
    import html  # with the names of two thousand characters

    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">' if again else ""
    more = "<p>This page looks again every other second.</p>" if again else ""
    if link:
        more += f'<p><a href="{html.escape(link)}">The job in Dais</a></p>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{refresh}<title>{html.escape(title)}</title><style>{_style}</style></head>"
        f"<body><main><h1>{html.escape(title)}</h1><p>{html.escape(words)}</p>{more}</main></body></html>"
    ).encode()
