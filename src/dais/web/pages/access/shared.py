"""What the pages of access share: the form that somebody sent, a verb that may be refused, names of members."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from dais.identity import (
    Actor,
    Policy,
    Resource,
    Team,
    User,
    create_policy,
    list_policies,
    may,
    remove_policy,
    resolve_policy,
    resolve_team,
    resolve_user,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Invalid
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, check_form_token, read_form, visitor


class Policies(msgspec.Struct, frozen=True):
    """The policies of a subject as a page shows them; `told`: whether the reader may see them."""

    all: tuple[Policy, ...] = ()
    told: bool = False


async def acting(request: Request, frame: Frame, *, strip: bool = True) -> tuple[Visitor, dict[str, str]]:
    """Who sent a form, and its fields, without blanks around them.

    Raises what `read_form`, `visitor` and `check_form_token` raise.
    """
    form = await read_form(request)
    who = await visitor(request, frame.services)
    check_form_token(who, form)
    return who, {name: value.strip() for name, value in form.items()} if strip else form


async def refusal(frame: Frame, verb: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Do it; "" when it is done, else why not, in words for the page that the form is on."""
    try:
        await frame.services.db.write(verb, *args, **kwargs)
    except DaisError as error:
        return error.message
    return ""


def policies_of(uow: UnitOfWork, actor: Actor, kind: str, subject_id: str) -> Policies:
    """The policies of a subject, where the actor may see them."""
    try:
        return Policies(tuple(list_policies(uow, actor, kind, subject_id)), True)
    except DaisError:
        return Policies()


def those_of(uow: UnitOfWork, actor: Actor, resource: Resource, *actions: str) -> frozenset[str]:
    """Which of the actions the reader may do with a thing: a page has no form for the others."""
    return frozenset(action for action in actions if may(uow, actor, action, resource))


def member(uow: UnitOfWork, actor: Actor, name: str) -> dict[str, str]:
    """The user or team of a name, as the verbs of memberships take it. `team:NAME` is a team, anything else a user."""
    if not name:
        raise Invalid("give a user's name or address, or team:NAME", code="one-member")
    if name.startswith("team:"):
        team: Team = resolve_team(uow, actor, name.removeprefix("team:").strip())
        return {"team_id": team.id}
    user: User = resolve_user(uow, actor, name)
    return {"user_id": user.id}


def member_id(form: Mapping[str, str]) -> dict[str, str]:
    """The member that a row's form names by its id."""
    return {"team_id" if form.get("type") == "team" else "user_id": form.get("id", "")}


def add_policy(uow: UnitOfWork, actor: Actor, kind: str, subject_id: str, text: str) -> None:
    """Attach the statements of a text, one a line."""
    create_policy(uow, actor, kind, subject_id, [line.strip() for line in text.splitlines() if line.strip()])


def end_policy(uow: UnitOfWork, actor: Actor, policy_id: str) -> Policy:
    """Take a policy away; what it was."""
    policy = resolve_policy(uow, actor, policy_id)
    remove_policy(uow, actor, policy)
    return policy


async def remove_one(request: Request, frame: Frame) -> Any:
    """Take a policy away, and go back to its subject's page."""
    who, _ = await acting(request, frame)
    policy: Policy = await frame.services.db.write(end_policy, who.actor, request.path_params["id"])
    return see_other(f"/access/{policy.subject_type}s/{policy.subject_id}")
