"""Teams: the list, a new one, and one team with its members, roles and policies."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dais.identity import (
    Actor,
    Member,
    Role,
    Team,
    add_team_member,
    create_team,
    list_roles,
    list_teams,
    remove_team,
    remove_team_member,
    rename_team,
    resolve_team,
    resource_at,
    roles_of,
    team_members,
    teams_of,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import DaisError, Invalid
from dais.kit.paging import Page
from dais.web.frame import Frame, see_other
from dais.web.guard import Visitor, visitor
from dais.web.pages.access.shared import Policies, acting, member, member_id, policies_of, refusal, those_of

PAGE = 50
"""Teams on one page."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page of a team shows. `own` are the roles attached to it, `roles` those that it can assume."""

    team: Team
    members: list[Member]
    teams: list[Team]
    roles: list[Role]
    own: list[Role]
    policies: Policies
    can: frozenset[str]


async def show_teams(request: Request, frame: Frame) -> Response:
    return await _list(request, frame, await visitor(request, frame.services))


async def make(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame)
    try:
        made: Team = await frame.services.db.write(create_team, who.actor, form.get("name", ""))
    except DaisError as error:
        return await _list(request, frame, who, name=form.get("name", ""), wrong=error.message)
    return see_other(f"/access/teams/{made.id}")


async def show_team(request: Request, frame: Frame) -> Response:
    return await page_again(request, frame, await visitor(request, frame.services))


async def rename(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame)
    return await _after(
        request, frame, who, await refusal(frame, _rename, who.actor, _id(request), form.get("name", ""))
    )


async def remove(request: Request, frame: Frame) -> Response:
    """Remove a team whose name was typed to confirm it."""
    who, form = await acting(request, frame)
    wrong = await refusal(frame, _remove, who.actor, _id(request), form.get("confirm", ""))
    return await page_again(request, frame, who, wrong) if wrong else see_other("/access/teams")


async def add_member(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame)
    return await _after(
        request, frame, who, await refusal(frame, _add, who.actor, _id(request), form.get("member", ""))
    )


async def drop_member(request: Request, frame: Frame) -> Response:
    who, form = await acting(request, frame)
    return await _after(request, frame, who, await refusal(frame, _drop, who.actor, _id(request), member_id(form)))


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _rename(uow: UnitOfWork, actor: Actor, team_id: str, name: str) -> None:
    rename_team(uow, actor, resolve_team(uow, actor, team_id), name)


def _remove(uow: UnitOfWork, actor: Actor, team_id: str, confirmed: str) -> None:
    team = resolve_team(uow, actor, team_id)
    if confirmed != team.name:
        raise Invalid(f"type {team.name} to remove the team", code="not-confirmed")
    remove_team(uow, actor, team)


def _add(uow: UnitOfWork, actor: Actor, team_id: str, name: str) -> None:
    add_team_member(uow, actor, resolve_team(uow, actor, team_id), **member(uow, actor, name))


def _drop(uow: UnitOfWork, actor: Actor, team_id: str, whom: dict[str, str]) -> None:
    remove_team_member(uow, actor, resolve_team(uow, actor, team_id), **whom)


def _known(uow: UnitOfWork, actor: Actor, team_id: str) -> Known:
    team = resolve_team(uow, actor, team_id)
    place = resource_at(uow, "team", team.id, organization_id=team.organization_id)
    below = resource_at(uow, "policy", organization_id=team.organization_id, holder=("team", team.id), new=True)
    return Known(
        team=team,
        members=team_members(uow, actor, team, limit=1000).items,
        teams=teams_of(uow, actor, "team", team.id),
        roles=roles_of(uow, actor, "team", team.id),
        own=list_roles(uow, actor, parent_type="team", parent_id=team.id, limit=1000).items,
        policies=policies_of(uow, actor, "team", team.id),
        can=those_of(uow, actor, place, "team:set", "team:rm") | those_of(uow, actor, below, "policy:new"),
    )


async def _after(request: Request, frame: Frame, who: Visitor, wrong: str) -> Response:
    return await page_again(request, frame, who, wrong) if wrong else see_other(f"/access/teams/{_id(request)}")


async def page_again(request: Request, frame: Frame, who: Visitor, wrong: str = "") -> Response:
    known: Known = await frame.services.db.read(_known, who.actor, _id(request))
    status = 400 if wrong else 200
    return frame.page(request, "access_team.html", who, status=status, known=known, team=known.team, wrong=wrong)


async def _list(request: Request, frame: Frame, who: Visitor, name: str = "", wrong: str = "") -> Response:
    cursor = request.query_params.get("cursor", "").strip()
    found: Page[Team] = await frame.services.db.read(list_teams, who.actor, limit=PAGE, cursor=cursor or None)
    return frame.page(
        request,
        "access_teams.html",
        who,
        status=400 if wrong else 200,
        teams=found.items,
        name=name,
        wrong=wrong,
        first="/access/teams" if cursor else "",
        older=f"/access/teams?{urlencode({'cursor': found.cursor})}" if found.cursor else "",
    )
