"""Signing in by a one-time link, and out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import check_sign_in_link, end_session, redeem_sign_in_link
from dais.web.frame import Frame, see_other
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
