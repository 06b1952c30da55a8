"""What one reader sets for themselves: who they are, where they are signed in, the colours and rail of this browser."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import User, end_own_session, get_user, has_password, list_sessions, set_user
from dais.kit.errors import DaisError, Invalid
from dais.web.frame import RAIL_COOKIE, RAILS, THEME_COOKIE, THEMES, Frame, remember, see_other
from dais.web.guard import Visitor, local, read_form, visitor
from dais.web.pages.access.shared import acting


async def show_settings(request: Request, frame: Frame) -> Response:
    return await _profile(request, frame, await visitor(request, frame.services))


async def set_profile(request: Request, frame: Frame) -> Response:
    """The name for people to read, and the e-mail address: whoever has that can have a new password mailed."""
    who, form = await acting(request, frame, strip=False)
    user: User = await frame.services.db.read(get_user, who.actor.id)
    email = form.get("email", "").strip() or None
    try:
        if email is not None and email.lower() != user.email:
            await frame.services.desk.confirm(who.actor, form.get("current", ""))
        await frame.services.db.write(
            set_user, who.actor, who.actor.id, email=email, full_name=form.get("full_name", "")
        )
    except DaisError as error:
        return await _profile(request, frame, who, problem=error.message, given=form)
    return see_other("/settings")


async def show_sessions(request: Request, frame: Frame) -> Response:
    """The browsers that the reader is signed in with."""
    who = await visitor(request, frame.services)
    sessions = await frame.services.db.read(list_sessions, who.actor, frame.services.desk.settings)
    return frame.page(request, "settings_sessions.html", who, sessions=sessions, current=who.session.id)


async def end_session(request: Request, frame: Frame) -> Response:
    """Sign another browser out."""
    who, _ = await acting(request, frame)
    await frame.services.db.write(end_own_session, who.actor, request.path_params["id"])
    return see_other("/settings/sessions")


async def set_theme(request: Request, frame: Frame) -> Response:
    """Remember light, dark or the system's choice in this browser, and go back to the page."""
    return await _chosen(request, "theme", THEMES, THEME_COOKIE)


async def set_rail(request: Request, frame: Frame) -> Response:
    """Remember whether the rail shows words or icons alone."""
    return await _chosen(request, "rail", RAILS, RAIL_COOKIE)


async def _profile(
    request: Request, frame: Frame, who: Visitor, problem: str = "", given: dict[str, str] | None = None
) -> Response:
    user: User = await frame.services.db.read(get_user, who.actor.id)
    asks = await frame.services.db.read(has_password, who.actor.id)
    values = given or {"email": user.email or "", "full_name": user.full_name or ""}
    status = 400 if problem else 200
    return frame.page(request, "settings.html", who, status=status, user=user, asks=asks, given=values, problem=problem)


async def _chosen(request: Request, name: str, choices: Sequence[str], cookie: str) -> Response:
    form = await read_form(request)
    given = form.get(name, "")
    if given not in choices:
        raise Invalid(f"{given[:40]!r} is no {name}; there are {', '.join(choices)}", code=f"bad-{name}")
    return remember(request, see_other(local(form.get("back", "/"))), cookie, given)
