"""Invitations: who has been asked in, asking somebody else, and taking it back."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import Invitation, list_invitations, remove_invitation
from dais.kit.errors import DaisError
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.pages.access.shared import acting, refusal


async def show_invitations(request: Request, frame: Frame) -> Response:
    return await _page(request, frame, await visitor(request, frame.services), {})


async def invite(request: Request, frame: Frame) -> Response:
    """Invite somebody; where it cannot be mailed the page shows the link, this once."""
    who, form = await acting(request, frame)
    accounts = [line.strip() for line in form.get("accounts", "").splitlines() if line.strip()]
    try:
        made, path = await frame.services.desk.invite(
            who.actor, form.get("email", ""), accounts, who.actor.organization_id
        )
    except DaisError as error:
        return await _page(request, frame, who, form, wrong=error.message)
    if path is None:
        return see_other("/access/invitations")
    return await _page(request, frame, who, {}, link=frame.services.url + path, made=made)


async def take_back(request: Request, frame: Frame) -> Response:
    who, _ = await acting(request, frame)
    wrong = await refusal(frame, remove_invitation, who.actor, request.path_params["id"])
    return await _page(request, frame, who, {}, wrong=wrong) if wrong else see_other("/access/invitations")


async def _page(
    request: Request,
    frame: Frame,
    who: Visitor,
    form: dict[str, str],
    *,
    wrong: str = "",
    link: str = "",
    made: Invitation | None = None,
) -> Response:
    found = await frame.services.db.read(list_invitations, who.actor, who.actor.organization_id)
    return frame.page(
        request,
        "access_invitations.html",
        who,
        status=400 if wrong else 200,
        invitations=found,
        form=form,
        wrong=wrong,
        link=link,
        made=made,
    )
