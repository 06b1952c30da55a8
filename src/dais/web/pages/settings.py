"""What one reader sets for themselves: colours and rail of this browser, and where they are signed in."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import end_own_session, list_sessions
from dais.kit.errors import Invalid
from dais.web.frame import RAIL_COOKIE, RAILS, THEME_COOKIE, THEMES, Frame, remember, see_other
from dais.web.guard import check_form_token, local, read_form, visitor


async def show_settings(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    sessions = await frame.services.db.read(list_sessions, who.actor)
    return frame.page(request, "settings.html", who, sessions=sessions, current=who.session.id)


async def end_session(request: Request, frame: Frame) -> Response:
    """Sign another browser out."""
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    await frame.services.db.write(end_own_session, who.actor, request.path_params["id"])
    return see_other("/settings")


async def set_theme(request: Request, frame: Frame) -> Response:
    """Remember light, dark or the system's choice in this browser, and go back to the page."""
    return await _chosen(request, "theme", THEMES, THEME_COOKIE)


async def set_rail(request: Request, frame: Frame) -> Response:
    """Remember whether the rail shows words or icons alone."""
    return await _chosen(request, "rail", RAILS, RAIL_COOKIE)


async def _chosen(request: Request, name: str, choices: Sequence[str], cookie: str) -> Response:
    form = await read_form(request)
    given = form.get(name, "")
    if given not in choices:
        raise Invalid(f"{given[:40]!r} is no {name}; there are {', '.join(choices)}", code=f"bad-{name}")
    return remember(request, see_other(local(form.get("back", "/"))), cookie, given)
