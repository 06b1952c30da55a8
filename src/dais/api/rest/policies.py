"""Policies of users, teams and roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.identity import (
    Policy,
    create_policy,
    get_role,
    list_policies,
    remove_policy,
    resolve_policy,
    resolve_role,
    resolve_team,
    resolve_user,
    resource_at,
    resource_of,
    with_ids,
)
from dais.kit.clock import to_rfc3339
from dais.kit.database import UnitOfWork
from dais.wire import answers, identities

routes = Routes()

_resolvers: dict[str, Callable[..., Any]] = {"user": resolve_user, "team": resolve_team, "role": resolve_role}


class NewPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Statements, `<action>[+<action>…]@<urn>[+<urn>…]`; in a URN names may stand for ids."""

    statements: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)]


@routes.get("/v1/users/{ref}/policies", summary="List the policies of a user", action="policy:list")
async def user_policies(ctx: Context, ref: str) -> answers.Page[identities.Policy]:
    """Those that are attached to the user; not those of their teams and roles."""
    return await _list(ctx, "user", ref)


@routes.get("/v1/teams/{ref}/policies", summary="List the policies of a team", action="policy:list")
async def team_policies(ctx: Context, ref: str) -> answers.Page[identities.Policy]:
    return await _list(ctx, "team", ref)


@routes.get("/v1/roles/{ref}/policies", summary="List the policies of a role", action="role:get")
async def role_policies(ctx: Context, ref: str) -> answers.Page[identities.Policy]:
    return await _list(ctx, "role", ref)


@routes.post("/v1/users/{ref}/policies", status=201, summary="Attach a policy to a user", action="policy:new")
async def new_user_policy(ctx: Context, ref: str, body: NewPolicy) -> identities.Policy:
    """One grants only what lies within one statement that one has oneself."""
    return await _new(ctx, "user", ref, body)


@routes.post("/v1/teams/{ref}/policies", status=201, summary="Attach a policy to a team", action="policy:new")
async def new_team_policy(ctx: Context, ref: str, body: NewPolicy) -> identities.Policy:
    """As for a user."""
    return await _new(ctx, "team", ref, body)


@routes.post("/v1/roles/{ref}/policies", status=201, summary="Attach a policy to a role", action="role:set")
async def new_role_policy(ctx: Context, ref: str, body: NewPolicy) -> identities.Policy:
    """As for a user."""
    return await _new(ctx, "role", ref, body)


@routes.delete("/v1/policies/{id}", summary="Take a policy away", status=204, action=("policy:rm", "role:set"))
async def delete_policy(ctx: Context, id: str) -> None:  # noqa: A002 (the path's word)
    await ctx.db.write(lambda uow: remove_policy(uow, ctx.actor, resolve_policy(uow, ctx.actor, id)))


async def _list(ctx: Context, kind: str, ref: str) -> answers.Page[identities.Policy]:
    def read(uow: UnitOfWork) -> answers.Page[identities.Policy]:
        subject = _resolvers[kind](uow, ctx.actor, ref)
        found = list_policies(uow, ctx.actor, kind, subject.id)
        return answers.Page(items=[_answer(uow, one) for one in found])

    found: answers.Page[identities.Policy] = await ctx.db.read(read)
    return found


async def _new(ctx: Context, kind: str, ref: str, body: NewPolicy) -> identities.Policy:
    def make(uow: UnitOfWork) -> identities.Policy:
        subject = _resolvers[kind](uow, ctx.actor, ref)
        statements = with_ids(uow, ctx.actor, body.statements)
        return _answer(uow, create_policy(uow, ctx.actor, kind, subject.id, statements))

    made: identities.Policy = await ctx.db.write(make)
    return made


def _answer(uow: UnitOfWork, policy: Policy) -> identities.Policy:
    if policy.subject_type == "role":
        place = resource_of(uow, get_role(uow, policy.subject_id))
    else:
        holder = (policy.subject_type, policy.subject_id)
        place = resource_at(uow, "policy", policy.id, organization_id=policy.organization_id, holder=holder)
    return identities.Policy(
        id=policy.id,
        urn=place.urn,
        subject=policy.subject_id,
        subject_type=policy.subject_type,
        statements=list(policy.statements),
        everywhere=policy.everywhere,
        predefined=policy.predefined,
        created_at=to_rfc3339(policy.created_at),
    )
