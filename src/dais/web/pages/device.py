"""Where a person confirms that a machine may act as them: its code typed or linked, its name shown, yes or no."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import DeviceLogin, decide_device_login, find_device_login
from dais.kit.clock import to_rfc3339
from dais.kit.errors import NotFound
from dais.web.frame import Frame
from dais.web.guard import Visitor, browser_of, check_form_token, read_form, visitor


async def show_device(request: Request, frame: Frame) -> Response:
    """The machine that waits with a code, or the form to type one. Looking uses nothing up."""
    who = await visitor(request, frame.services)
    code = request.query_params.get("code", "")[:40]
    if not code:
        return _form(request, frame, who)
    frame.services.limits.code(who.actor.id)
    try:
        found: DeviceLogin = await frame.services.db.read(find_device_login, who.actor, code)
    except NotFound as error:
        return _form(request, frame, who, code=code, wrong=error.message, status=404)
    elsewhere = found.address != browser_of(request, frame.services).address
    return frame.page(
        request,
        "device.html",
        who,
        login=found,
        code=found.code,
        asked=to_rfc3339(found.created_at),
        elsewhere=elsewhere,
    )


async def decide(request: Request, frame: Frame) -> Response:
    """The word of the person."""
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    frame.services.limits.code(who.actor.id)
    code, allowed = form.get("code", "")[:40], form.get("decision") == "allow"
    try:
        found: DeviceLogin = await frame.services.db.read(find_device_login, who.actor, code)
        await frame.services.db.write(decide_device_login, who.actor, code, allowed)
    except NotFound as error:
        return _form(request, frame, who, code=code, wrong=error.message, status=404)
    return frame.page(request, "device_done.html", who, machine=found.machine, allowed=allowed)


def _form(
    request: Request, frame: Frame, who: Visitor, *, code: str = "", wrong: str = "", status: int = 200
) -> Response:
    return frame.page(request, "device_code.html", who, status=status, code=code, wrong=wrong)
