"""For those who are not in yet, or no more: an invitation, and a forgotten password."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import Invitation, find_invitation
from dais.kit.errors import Conflict, Invalid, TooMany
from dais.web.frame import Frame
from dais.web.guard import browser_of, read_form
from dais.web.pages.sign_in import entered, failed, repeated


async def show_invitation(request: Request, frame: Frame) -> Response:
    """Who invites, and to what; opening it uses nothing up."""
    found: Invitation = await frame.services.db.read(find_invitation, request.path_params["secret"])
    name = found.email.partition("@")[0].replace(".", "-")
    return frame.page(request, "invitation.html", None, invitation=found, name=name, full_name="", problem=None)


async def accept(request: Request, frame: Frame) -> Response:
    """A name and a password make a user of the invitee, signed in."""
    form = await read_form(request)
    secret = request.path_params["secret"]
    name, full_name = form.get("name", "").strip().lower(), form.get("full_name", "").strip()
    try:
        entry = await frame.services.desk.accept(
            secret, name, full_name, repeated(form), browser_of(request, frame.services)
        )
    except (Invalid, Conflict, TooMany) as error:
        found: Invitation = await frame.services.db.read(find_invitation, secret)
        return failed(request, frame, error, "invitation.html", invitation=found, name=name, full_name=full_name)
    return entered(request, entry, "/jobs")


async def show_forgotten(request: Request, frame: Frame) -> Response:
    """An e-mail address, where mail can be sent."""
    sends = frame.services.desk.forgotten.mailer.configured
    return frame.page(request, "forgotten.html", None, sends=sends, asked=False, problem=None)


async def forgotten(request: Request, frame: Frame) -> Response:
    """The same answer, as fast, whether anybody has the address."""
    form = await read_form(request)
    try:
        frame.services.desk.forgot(form.get("email", ""), browser_of(request, frame.services))
    except TooMany as error:
        return failed(request, frame, error, "forgotten.html", sends=True, asked=False)
    return frame.page(request, "forgotten.html", None, sends=True, asked=True, problem=None)
