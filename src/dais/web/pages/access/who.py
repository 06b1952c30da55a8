"""Who may do what on any URN, and through what; and what the reader may do."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.identity import (
    ACTIONS,
    Actor,
    Explanation,
    HeldRule,
    WhoIsAllowed,
    explain,
    list_rules,
    who_is_allowed,
    with_ids,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Invalid
from dais.web.frame import Frame
from dais.web.guard import visitor


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a question: of the reader, and of everybody where the reader may know; `secret` says why not."""

    mine: Explanation | None = None
    all: WhoIsAllowed | None = None
    secret: str = ""
    rules: list[HeldRule] = []


async def show_who(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    action, urn = (request.query_params.get(name, "").strip() for name in ("action", "urn"))
    wrong = ""
    try:
        found: Found = await frame.services.db.read(_asked, who.actor, action, urn)
    except DaisError as error:
        wrong = error.message
        found = await frame.services.db.read(_asked, who.actor, "", "")
    return frame.page(
        request,
        "access_who.html",
        who,
        status=400 if wrong else 200,
        action=action,
        urn=urn,
        actions=sorted(ACTIONS),
        found=found,
        wrong=wrong,
    )


def _asked(uow: UnitOfWork, actor: Actor, action: str, urn: str) -> Found:
    """Answer it; without a question the reader's own rules alone. Raises Invalid, NotFound."""
    rules = list_rules(uow, actor)
    if not action and not urn:
        return Found(rules=rules)
    if not action or not urn:
        raise Invalid("give an action and a URN", code="bad-question")
    urn = with_ids(uow, actor, [f"{action}@{urn}"])[0].partition("@")[2]
    mine = explain(uow, actor, action, urn)
    try:
        return Found(mine=mine, all=who_is_allowed(uow, actor, action, urn), rules=rules)
    except DaisError as error:
        return Found(mine=mine, secret=error.message, rules=rules)
