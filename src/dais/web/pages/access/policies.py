"""Attaching policies to users, teams and roles, and taking them away: parts of their pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from dais.web.frame import Frame, see_other
from dais.web.pages.access import roles, teams, users
from dais.web.pages.access.shared import acting, add_policy, refusal

_again: dict[str, Callable[..., Awaitable[Response]]] = {
    "user": users.page_again,
    "team": teams.page_again,
    "role": roles.page_again,
}


def attach(kind: str) -> Callable[[Request, Frame], Awaitable[Response]]:
    """The handler of the form on the page of a `user`, `team` or `role`."""

    async def handler(request: Request, frame: Frame) -> Response:
        who, form = await acting(request, frame)
        id_ = request.path_params["id"]
        wrong = await refusal(frame, add_policy, who.actor, kind, id_, form.get("statements", ""))
        if wrong:
            return await _again[kind](request, frame, who, wrong)
        return see_other(f"/access/{kind}s/{id_}")

    handler.__name__ = f"attach_to_{kind}"
    return handler
