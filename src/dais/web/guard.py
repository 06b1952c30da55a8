"""Who is at the browser, and whether a request is really theirs: cookie, session, form token, origin."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from dais.api import Services, read_body
from dais.identity import (
    Actor,
    Browser,
    IdentitySettings,
    Pending,
    Session,
    find_pending,
    find_session,
    list_accounts,
    touch_session,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import Forbidden, Invalid, Unauthenticated

T = TypeVar("T")

COOKIE = "dais_session"
PENDING_COOKIE = "dais_signing_in"
"""Of a sign-in that is not finished: it opens nothing but its next step."""
CHALLENGE_COOKIE = "dais_challenge"
"""What the browser must bring back from elsewhere: a provider, an authenticator."""
FORM_HEADER = "dais-form"
"""Where modules of a page send the form's token."""
COOKIE_SECONDS = 400 * 86_400
"""For how long a browser keeps the cookie, if it is not told to drop it: longer than any session."""
MAX_ACCOUNTS = 200
"""Accounts that the switcher offers; others are found by their address."""
MAX_FORM = 16 << 10
"""Bytes of a form; the largest field of any is a token."""
MAX_FIELDS = 50


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who is signed in. `form_token` goes into every form and comes back with it."""

    session: Session
    secret: str
    accounts: tuple[str, ...] = ()
    """The full names of the accounts that they may see, the first MAX_ACCOUNTS of them."""

    @property
    def actor(self) -> Actor:
        return self.session.actor

    @property
    def form_token(self) -> str:
        return form_token_of(self.secret)


def form_token_of(secret: str) -> str:
    """What the forms carry that are made for the holder of a secret."""
    return hashlib.sha256(b"dais-form\0" + secret.encode()).hexdigest()


def cookie_name(connection: HTTPConnection, cookie: str = COOKIE) -> str:
    """With TLS the browser is told to take the cookie from this host alone."""
    return f"__Host-{cookie}" if _is_secure(connection) else cookie


def browser_of(connection: HTTPConnection, services: Services) -> Browser:
    """Where a request comes from, for the list of sessions and for counting failures."""
    address = services.authenticator.addresses.of(dict(connection.scope))
    return Browser(address, connection.headers.get("user-agent", ""))


async def visitor(connection: HTTPConnection, services: Services) -> Visitor:
    """Who is signed in. Raises Unauthenticated."""
    secret = connection.cookies.get(cookie_name(connection))
    if not secret:
        raise Unauthenticated("you are not signed in", code="no-session")
    found: Visitor = await services.db.read(_found, secret, services.desk.settings)
    if found.session.stale:
        await services.db.write(touch_session, found.session.id)
    located = services.authenticator.located(found.actor, dict(connection.scope))
    return replace(found, session=msgspec.structs.replace(found.session, actor=located))


def _found(uow: UnitOfWork, secret: str, settings: IdentitySettings) -> Visitor:
    session = find_session(uow, secret, settings)
    accounts = list_accounts(uow, session.actor, limit=MAX_ACCOUNTS).items
    return Visitor(session, secret, tuple(account.full_name for account in accounts))


async def pending(request: Request, services: Services) -> Pending:
    """The sign-in that this browser has not finished. Raises Unauthenticated `no-sign-in`."""
    secret = request.cookies.get(cookie_name(request, PENDING_COOKIE))
    if not secret:
        raise Unauthenticated("nobody is signing in with this browser; begin again", code="no-sign-in")
    found: Pending = await services.db.read(find_pending, secret)
    return found


def set_cookie(request: Request, response: Response, secret: str, cookie: str = COOKIE) -> None:
    """Give the browser a secret until it is closed or the secret ends: the server says when that is."""
    response.set_cookie(
        cookie_name(request, cookie),
        secret,
        max_age=COOKIE_SECONDS if cookie == COOKIE else None,
        path="/",
        httponly=True,
        secure=_is_secure(request),
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response, cookie: str = COOKIE) -> None:
    response.delete_cookie(
        cookie_name(request, cookie), path="/", httponly=True, secure=_is_secure(request), samesite="lax"
    )


def check_origin(connection: HTTPConnection) -> None:
    """Refuse what a page of another origin sends. Raises Forbidden `cross-origin`.

    Browsers say where a POST and a WebSocket come from; programs that are no browsers say nothing, and carry nobody's
    cookies.
    """
    site = connection.headers.get("sec-fetch-site")
    origin = connection.headers.get("origin")
    if site is not None and site != "same-origin":
        raise _cross_origin(origin or site)
    if origin is not None and site is None and urlsplit(origin).netloc != connection.headers.get("host", ""):
        raise _cross_origin(origin)
    if origin is None and site is None and connection.scope["type"] == "websocket":
        raise _cross_origin("nowhere")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that this origin sent. Raises Forbidden, Invalid `bad-form`, HttpProblem."""
    fields = await read_fields(request, MAX_FORM, MAX_FIELDS)
    return {name: values[-1] for name, values in fields.items()}


async def read_fields(request: Request, most: int, fields: int) -> dict[str, list[str]]:
    """The same for a form of at most so many bytes and fields whose fields may come more than once, in their order."""
    check_origin(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind not in ("", "application/x-www-form-urlencoded"):
        raise Invalid(f"a form is sent as application/x-www-form-urlencoded, not {kind[:80]}", code="bad-form")
    body = await read_body(dict(request.scope), cast(Any, request.receive), most)
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=fields)
    except ValueError as error:
        raise Invalid("the form is not what a browser sends", code="bad-form") from error


async def read_json(request: Request, kind: type[T]) -> T:
    """What a module of a page of this origin sent. Raises Forbidden, Invalid `bad-body`, HttpProblem."""
    check_origin(request)
    sent = request.headers.get("content-type", "").partition(";")[0].strip()
    if sent != "application/json":
        raise Invalid(f"this is sent as application/json, not {sent[:80]!r}", code="bad-body")
    body = await read_body(dict(request.scope), cast(Any, request.receive), MAX_FORM)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"the body is not what the page sends: {error}", code="bad-body") from error


def check_form_token(who: Visitor | Pending, form: Mapping[str, str]) -> None:
    """Raises Forbidden `stale-form` when the form was not made for this session, or this sign-in."""
    if not hmac.compare_digest(form.get("token", "").encode(), form_token_of(who.secret).encode()):
        raise Forbidden(
            "this form belongs to another sign-in; go back, load the page again and repeat it", code="stale-form"
        )


def local(address: str) -> str:
    """An address of these pages; anything that could lead elsewhere is the start page."""
    plain = address.startswith("/") and address.isascii() and address.isprintable() and "\\" not in address
    return address if plain and not address.startswith("//") else "/"


def _is_secure(connection: HTTPConnection) -> bool:
    return connection.url.scheme in ("https", "wss")


def _cross_origin(origin: str) -> Forbidden:
    return Forbidden(
        f"this came from {origin[:200]}, another place than this page; open Dais itself and do it there",
        code="cross-origin",
    )
