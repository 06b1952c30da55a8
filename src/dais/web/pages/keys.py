"""The keys of one reader: for programs and terminals, shown once, revoked at once."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import NewToken, create_token, list_tokens, revoke_token
from dais.kit.clock import SECOND
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.pages.access.shared import acting, refusal

DAYS = {"7": "a week", "30": "30 days", "90": "90 days", "365": "a year", "": "for ever"}
"""For how long a new key can hold, in days, and in words."""


async def show_keys(request: Request, frame: Frame) -> Response:
    return await _page(request, frame, await visitor(request, frame.services))


async def make_key(request: Request, frame: Frame) -> Response:
    """Make a key, and show it this once."""
    who, form = await acting(request, frame)
    label, days = form.get("label", "")[:128] or None, form.get("days", "")
    lines = [line.strip() for line in form.get("narrowed", "").splitlines() if line.strip()]

    def make(uow: UnitOfWork) -> NewToken:
        expires_at = uow.now + int(days) * 86_400 * SECOND if days and days in DAYS else None
        return create_token(uow, who.actor, label=label, expires_at=expires_at, narrowed=lines or None)

    try:
        made: NewToken = await frame.services.db.write(make)
    except DaisError as error:
        return await _page(request, frame, who, wrong=error.message, given=form)
    return await _page(request, frame, who, secret=made.secret)


async def end_key(request: Request, frame: Frame) -> Response:
    who, _ = await acting(request, frame)
    wrong = await refusal(frame, revoke_token, who.actor, request.path_params["id"])
    return await _page(request, frame, who, wrong=wrong) if wrong else see_other("/settings/keys")


async def _page(
    request: Request,
    frame: Frame,
    who: Visitor,
    *,
    secret: str = "",
    wrong: str = "",
    given: dict[str, str] | None = None,
) -> Response:
    keys = await frame.services.db.read(list_tokens, who.actor)
    given = {"label": "", "days": "90", "narrowed": ""} | (given or {})
    status = 400 if wrong else 200
    return frame.page(
        request,
        "settings_keys.html",
        who,
        status=status,
        keys=keys,
        secret=secret,
        wrong=wrong,
        given=given,
        days=tuple(DAYS.items()),
    )
