"""Users: the list, a new one, and one user with what they are in, what they have, and their tokens."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.identity import (
    Actor,
    Role,
    Team,
    Token,
    User,
    create_user,
    disable_user,
    enable_user,
    get_user,
    list_tokens,
    list_users,
    resolve_user,
    resource_at,
    revoke_token,
    roles_of,
    set_user,
    teams_of,
    user_name,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError
from dais.kit.paging import Page
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.pages.access.shared import Policies, acting, policies_of, refusal, those_of

PAGE = 50
"""Users on one page."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page of a user shows."""

    user: User
    teams: list[Team]
    roles: list[Role]
    policies: Policies
    tokens: list[Token]
    can: frozenset[str]


async def show_users(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    text, cursor = (request.query_params.get(name, "").strip() for name in ("text", "cursor"))
    found: Page[User] = await frame.services.db.read(
        list_users, who.actor, text=text or None, limit=PAGE, cursor=cursor or None
    )
    kept = {"text": text} if text else {}
    return frame.page(
        request,
        "access_users.html",
        who,
        users=found.items,
        text=text,
        first=f"/access/users?{urlencode(kept)}" if cursor else "",
        older=f"/access/users?{urlencode({**kept, 'cursor': found.cursor})}" if found.cursor else "",
    )


async def ask_new(request: Request, frame: Frame) -> Response:
    """The form for a new user."""
    return _new_form(request, frame, await visitor(request, frame.services), {}, {})


async def make(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame)
    name = form.get("name") or user_name(form.get("email", ""))
    full_name, email = form.get("full_name") or None, form.get("email") or None
    try:
        made: User = await frame.services.db.write(create_user, who.actor, name, email=email, full_name=full_name)
    except DaisError as error:
        field = {"bad-email": "email", "email-taken": "email", "bad-text": "full_name"}.get(error.code, "name")
        return _new_form(request, frame, who, form, {"" if error.code == "not-allowed" else field: error.message})
    return see_other(f"/access/users/{made.id}")


async def show_user(request: Request, frame: Frame) -> Response:
    who = await visitor(request, frame.services)
    return await _user_page(request, frame, who, request.path_params["id"])


async def change(request: Request, frame: Frame) -> Response:
    """Set the name and the address of a user."""
    who, form = await acting(request, frame)
    id_ = request.path_params["id"]
    given = {name: form[name] for name in ("full_name", "email") if form.get(name)}
    return await _after(request, frame, who, id_, await refusal(frame, set_user, who.actor, id_, **given))


async def disable(request: Request, frame: Frame) -> Response:
    who, _ = await acting(request, frame)
    id_ = request.path_params["id"]
    return await _after(request, frame, who, id_, await refusal(frame, disable_user, who.actor, id_))


async def enable(request: Request, frame: Frame) -> Response:
    who, _ = await acting(request, frame)
    id_ = request.path_params["id"]
    return await _after(request, frame, who, id_, await refusal(frame, enable_user, who.actor, id_))


async def end_token(request: Request, frame: Frame) -> Response:
    """Revoke one of a user's tokens."""
    who, _ = await acting(request, frame)
    id_ = request.path_params["id"]
    wrong = await refusal(frame, revoke_token, who.actor, request.path_params["token_id"])
    return await _after(request, frame, who, id_, wrong)


async def page_again(request: Request, frame: Frame, who: Visitor, wrong: str) -> Response:
    """The page once more, with why something could not be done."""
    return await _user_page(request, frame, who, request.path_params["id"], wrong)


async def _after(request: Request, frame: Frame, who: Visitor, user_id: str, wrong: str) -> Response:
    if wrong:
        return await page_again(request, frame, who, wrong)
    return see_other(f"/access/users/{user_id}")


async def _user_page(request: Request, frame: Frame, who: Visitor, user_id: str, wrong: str = "") -> Response:
    known: Known = await frame.services.db.read(_known, who.actor, user_id)
    status = 400 if wrong else 200
    return frame.page(request, "access_user.html", who, status=status, known=known, user=known.user, wrong=wrong)


def _known(uow: UnitOfWork, actor: Actor, user_id: str) -> Known:
    user = get_user(uow, resolve_user(uow, actor, user_id).id)
    try:
        tokens = list_tokens(uow, actor, user.id)
    except DaisError:
        tokens = []
    place = resource_at(uow, "user", user.id, organization_id=user.organization_id)
    below = resource_at(uow, "policy", organization_id=user.organization_id, holder=("user", user.id), new=True)
    return Known(
        user=user,
        teams=teams_of(uow, actor, "user", user.id),
        roles=roles_of(uow, actor, "user", user.id),
        policies=policies_of(uow, actor, "user", user.id),
        tokens=tokens,
        can=those_of(uow, actor, place, "user:set", "user:rm") | those_of(uow, actor, below, "policy:new", "token:rm"),
    )


def _new_form(request: Request, frame: Frame, who: Visitor, form: dict[str, str], wrong: dict[str, Any]) -> Response:
    status = 400 if wrong else 200
    return frame.page(request, "access_user_new.html", who, status=status, form=form, wrong=wrong)
