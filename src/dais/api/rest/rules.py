"""What somebody may do, who may do something, and what a policy would change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from dais.api.context import Context
from dais.api.routing import Routes
from dais.identity import (
    ACTIONS,
    Explanation,
    HeldRule,
    Link,
    Simulation,
    explain,
    list_rules,
    meaning,
    resolve_role,
    resolve_team,
    resolve_user,
    simulate,
    who_is_allowed,
    with_ids,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import Invalid
from dais.wire import answers, rules

routes = Routes()

_resolvers: dict[str, Callable[..., Any]] = {"user": resolve_user, "team": resolve_team, "role": resolve_role}


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Statements, and the one user, team or role that they would be attached to."""

    statements: list[str]
    user: str | None = None
    team: str | None = None
    role: str | None = None


@routes.get("/v1/rules", summary="List what you may do", own="your own rules; those of others take policy:list")
async def held_rules(
    ctx: Context, user: str | None = None, team: str | None = None, role: str | None = None
) -> rules.Rules:
    """Of a user, team or role, where one is given."""

    def read(uow: UnitOfWork) -> rules.Rules:
        subject = _subject(uow, ctx, user, team, role)
        items = [_rule(one) for one in list_rules(uow, ctx.actor, subject)]
        narrowed = ctx.actor.narrowed if subject is None else None
        return rules.Rules(items=items, narrowed=list(narrowed) if narrowed is not None else None)

    found: rules.Rules = await ctx.db.read(read)
    return found


@routes.get(
    "/v1/rules/allowed", summary="Tell whether you may do something", own="your own rules; others' take policy:list"
)
async def allowed(
    ctx: Context, rule: str, user: str | None = None, team: str | None = None, role: str | None = None
) -> rules.Explanation:
    """`rule` is ACTION@URN; in the URN names may stand for ids. With every statement that says so."""

    def read(uow: UnitOfWork) -> Explanation:
        action, urn = _question(uow, ctx, rule)
        return explain(uow, ctx.actor, action, urn, _subject(uow, ctx, user, team, role))

    found: Explanation = await ctx.db.read(read)
    return rules.Explanation(
        action=found.action,
        urn=found.urn,
        allowed=found.allowed,
        narrowed=found.narrowed,
        rules=[_rule(one) for one in found.rules],
    )


@routes.get("/v1/rules/who-is-allowed", summary="List who may do something", action="policy:get")
async def who(ctx: Context, rule: str) -> rules.WhoIsAllowed:
    """`rule` is ACTION@URN; for those who may see the policies of where the thing lies."""
    found = await ctx.db.read(lambda uow: who_is_allowed(uow, ctx.actor, *_question(uow, ctx, rule)))
    items = [
        rules.Allowed(
            type=one.type,
            id=one.id,
            name=one.name,
            keys=one.keys,
            through=_links(one.through),
            statements=list(one.statements),
        )
        for one in found.items
    ]
    return rules.WhoIsAllowed(action=found.action, urn=found.urn, total=found.total, items=items)


@routes.get("/v1/actions", summary="List every action", own="what the program knows is no secret")
async def actions(ctx: Context) -> answers.Page[rules.Action]:
    return answers.Page(items=[rules.Action(action=one, meaning=meaning(one)) for one in sorted(ACTIONS)])


@routes.post("/v1/policies/simulation", summary="Tell what a policy would change", action=("policy:list", "role:get"))
async def simulation(ctx: Context, body: Question) -> rules.Simulation:
    """Nothing is changed. One pair of an action and a URN after the other: new, held already, or refused."""

    def read(uow: UnitOfWork) -> Simulation:
        subject = _subject(uow, ctx, body.user, body.team, body.role)
        if subject is None:
            raise Invalid("say to whom: give a user, a team or a role", code="one-subject")
        return simulate(uow, ctx.actor, *subject, with_ids(uow, ctx.actor, body.statements))

    found: Simulation = await ctx.db.read(read)
    return rules.Simulation(
        pairs=[
            rules.SimulatedPair(
                action=one.action,
                expression=one.expression,
                outcome=one.outcome,
                through=_links(one.through),
                why=one.why,
            )
            for one in found.pairs
        ],
        users=found.users,
        names=list(found.names),
        reachable=[
            rules.Reached(type=one.type, id=one.id, name=one.name, urn=one.urn, actions=list(one.actions))
            for one in found.reachable
        ],
    )


def _question(uow: UnitOfWork, ctx: Context, text: str) -> tuple[str, str]:
    action, at, urn = text.partition("@")
    if not at or not urn:
        raise Invalid(
            f"{text[:200]!r} is no question; ask as job:get@URN (`--field urn` prints the URN of a thing)",
            code="bad-question",
        )
    return action, with_ids(uow, ctx.actor, [text])[0].partition("@")[2]


def _subject(
    uow: UnitOfWork, ctx: Context, user: str | None, team: str | None, role: str | None
) -> tuple[str, str] | None:
    given = [(kind, ref) for kind, ref in (("user", user), ("team", team), ("role", role)) if ref is not None]
    if len(given) > 1:
        raise Invalid("give one of user, team and role", code="one-subject")
    return (given[0][0], _resolvers[given[0][0]](uow, ctx.actor, given[0][1]).id) if given else None


def _rule(rule: HeldRule) -> rules.Rule:
    return rules.Rule(
        action=rule.action, expression=rule.expression, policy=rule.policy_id, through=_links(rule.through)
    )


def _links(links: Iterable[Link]) -> list[rules.Link]:
    return [rules.Link(type=one.type, id=one.id, name=one.name) for one in links]
