"""Signing in by a one-time link, and out; and the choice between light and dark."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import check_sign_in_link, end_session, redeem_sign_in_link
from dais.kit.errors import Invalid
from dais.web.frame import THEME_COOKIE, THEMES, YEAR, Frame, see_other
from dais.web.guard import check_form_token, drop_cookie, read_form, set_cookie, visitor


async def show_link(request: Request, frame: Frame) -> Response:
    """A page with one button. Opening it uses nothing up: those who preview links would burn it otherwise."""
    await frame.services.db.read(check_sign_in_link, request.path_params["secret"])
    return frame.page(request, "sign_in.html", None)


async def use_link(request: Request, frame: Frame) -> Response:
    """The button: the link becomes a session."""
    await read_form(request)
    secret = await frame.services.db.write(redeem_sign_in_link, request.path_params["secret"])
    response = see_other("/jobs")
    set_cookie(request, response, secret)
    return response


async def sign_out(request: Request, frame: Frame) -> Response:
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    await frame.services.db.write(end_session, who.secret)
    response = frame.page(request, "signed_out.html", None)
    drop_cookie(request, response)
    return response


async def set_theme(request: Request, frame: Frame) -> Response:
    """Remember light, dark or the system's choice in this browser, and go back to the page."""
    form = await read_form(request)
    theme = form.get("theme", "")
    if theme not in THEMES:
        raise Invalid(f"{theme[:40]!r} is no theme; there are {', '.join(THEMES)}", code="bad-theme")
    response = see_other(_local(form.get("back", "/")))
    secure = request.url.scheme == "https"
    response.set_cookie(THEME_COOKIE, theme, max_age=YEAR, path="/", httponly=True, secure=secure, samesite="lax")
    return response


def _local(address: str) -> str:
    """An address of these pages; anything that could lead elsewhere is the start page."""
    plain = address.startswith("/") and address.isascii() and address.isprintable() and "\\" not in address
    return address if plain and not address.startswith("//") else "/"
