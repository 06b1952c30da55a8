"""Teams, and who is in them."""

from __future__ import annotations

import msgspec

from dais.api.context import Context
from dais.api.rest.members import Members, NewMember, named, shown
from dais.api.routing import Routes
from dais.identity import (
    Member,
    Team,
    add_team_member,
    create_team,
    list_teams,
    remove_team,
    remove_team_member,
    rename_team,
    resolve_organization,
    resolve_team,
    team_members,
    urn,
)
from dais.kit.database import UnitOfWork
from dais.kit.paging import Page
from dais.wire import answers, identities

routes = Routes()


class NewTeam(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name in the caller's organization, or a full name as `acme.vision`."""

    name: str


class TeamChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; a field left out stays."""

    name: str | msgspec.UnsetType = msgspec.UNSET


@routes.get("/v1/teams", summary="List the teams that you may see", action="team:list")
async def teams(ctx: Context, limit: int = 100, cursor: str | None = None) -> answers.Page[identities.Team]:
    page = await ctx.db.read(list_teams, ctx.actor, limit=limit, cursor=cursor)
    return answers.Page(items=[_answer(one) for one in page.items], cursor=page.cursor)


@routes.post("/v1/teams", status=201, summary="Make a team", action="team:new")
async def new_team(ctx: Context, body: NewTeam) -> identities.Team:
    """You become its administrator."""

    def make(uow: UnitOfWork) -> Team:
        place, _, name = body.name.rpartition(".")
        organization = resolve_organization(uow, ctx.actor, place or None)
        return create_team(uow, ctx.actor, name, organization_id=organization.id)

    return _answer(await ctx.db.write(make))


@routes.get("/v1/teams/{ref}", summary="Show a team", action="team:get")
async def team(ctx: Context, ref: str) -> identities.Team:
    return _answer(await ctx.db.glance(resolve_team, ctx.actor, ref))


@routes.patch("/v1/teams/{ref}", summary="Change a team", action="team:set")
async def change_team(ctx: Context, ref: str, body: TeamChange) -> identities.Team:
    def change(uow: UnitOfWork) -> Team:
        found = resolve_team(uow, ctx.actor, ref)
        return found if body.name is msgspec.UNSET else rename_team(uow, ctx.actor, found, body.name)

    return _answer(await ctx.db.write(change))


@routes.delete("/v1/teams/{ref}", summary="Remove a team, with its roles and policies", status=204, action="team:rm")
async def delete_team(ctx: Context, ref: str) -> None:
    """What its members had through it they have no more."""
    await ctx.db.write(lambda uow: remove_team(uow, ctx.actor, resolve_team(uow, ctx.actor, ref)))


@routes.get("/v1/teams/{ref}/members", summary="List the direct members of a team", action="team:get")
async def list_team_members(ctx: Context, ref: str, limit: int = 100, cursor: str | None = None) -> Members:
    def read(uow: UnitOfWork) -> Page[Member]:
        found = resolve_team(uow, ctx.actor, ref)
        return team_members(uow, ctx.actor, found, limit=limit, cursor=cursor)

    return shown(await ctx.db.read(read))


@routes.post(
    "/v1/teams/{ref}/members", status=204, summary="Take a user, or another team, into a team", action="team:set"
)
async def new_team_member(ctx: Context, ref: str, body: NewMember) -> None:
    """Adding twice is the same as once."""

    def add(uow: UnitOfWork) -> None:
        found = resolve_team(uow, ctx.actor, ref)
        add_team_member(uow, ctx.actor, found, **named(uow, ctx.actor, body.user, body.team))

    await ctx.db.write(add)


@routes.delete(
    "/v1/teams/{ref}/members", status=204, summary="Take a user, or a team, out of a team", action="team:set"
)
async def delete_team_member(ctx: Context, ref: str, user: str | None = None, team: str | None = None) -> None:
    def remove(uow: UnitOfWork) -> None:
        found = resolve_team(uow, ctx.actor, ref)
        remove_team_member(uow, ctx.actor, found, **named(uow, ctx.actor, user, team))

    await ctx.db.write(remove)


def _answer(team: Team) -> identities.Team:
    return identities.Team(
        id=team.id,
        name=team.name,
        full_name=team.full_name,
        urn=urn(team.organization_id, None, "team", team.id),
        organization=team.organization,
    )
