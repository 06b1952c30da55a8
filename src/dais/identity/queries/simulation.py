"""What would change if statements were attached to a user, team or role: asked before it is done."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import bindparam, select

from dais.identity.commands.policies import prepared
from dais.identity.evaluator import Rule, Rules
from dais.identity.granting import forms_of, require_within
from dais.identity.queries.policies import require_subject
from dais.identity.queries.through import Through, subject_names
from dais.identity.rules import resource_at, rules_of_subject
from dais.identity.statements import Statement as PolicyStatement
from dais.identity.statements import actions_of
from dais.identity.tables import (
    accounts,
    organizations,
    role_teams,
    role_users,
    roles,
    team_ancestors,
    team_users,
    teams,
    users,
)
from dais.identity.types import Actor, Reached, SimulatedPair, Simulation
from dais.identity.urns import Resource
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Forbidden

LOOKED_THROUGH = 2_000
"""Things of each type that are tried for examples."""
EXAMPLES = 20
"""Things and people that are named."""

_in_team = select(team_users.c.user_id).join(team_ancestors, team_ancestors.c.team_id == team_users.c.team_id)
_members = {
    "user": select(users.c.id).where(users.c.id == bindparam("subject_id")),
    "team": _in_team.where(team_ancestors.c.ancestor_id == bindparam("subject_id")),
    "role": select(role_users.c.user_id)
    .where(role_users.c.role_id == bindparam("subject_id"))
    .union(
        _in_team.join(role_teams, role_teams.c.team_id == team_ancestors.c.ancestor_id).where(
            role_teams.c.role_id == bindparam("subject_id")
        )
    ),
}
_affected = {
    kind: Statement(
        select(users.c.id).where(users.c.id.in_(of), users.c.disabled_at.is_(None)).order_by(users.c.name, users.c.id)
    )
    for kind, of in _members.items()
}
_things = {
    "organization": Statement(
        select(organizations.c.id, organizations.c.id.label("organization_id"), organizations.c.name)
        .order_by(organizations.c.name)
        .limit(LOOKED_THROUGH)
    ),
    "account": Statement(
        select(accounts.c.id, accounts.c.organization_id, accounts.c.full_name.label("name"))
        .order_by(accounts.c.full_name)
        .limit(LOOKED_THROUGH)
    ),
    "user": Statement(
        select(users.c.id, users.c.organization_id, users.c.name).order_by(users.c.name).limit(LOOKED_THROUGH)
    ),
    "team": Statement(
        select(teams.c.id, teams.c.organization_id, teams.c.name).order_by(teams.c.name).limit(LOOKED_THROUGH)
    ),
    "role": Statement(
        select(roles.c.id, roles.c.organization_id, roles.c.name, roles.c.parent_type, roles.c.parent_id)
        .order_by(roles.c.name)
        .limit(LOOKED_THROUGH)
    ),
}


def simulate(uow: UnitOfWork, actor: Actor, kind: str, subject_id: str, statements: list[str]) -> Simulation:
    """What `create_policy` with these statements would come to; nothing is changed.

    Each pair of an action and a URN is `new`, `held` (the subject has it already, and through what), or `refused`
    (the actor may not grant it). `reachable` are things of identity that the subject could do something with that it
    cannot now, for example. For those who may see the subject's policies. Raises Invalid, NotFound, Forbidden.
    """
    organization_id = require_subject(uow, actor, "list", kind, subject_id)
    rules, _ = prepared(actor, organization_id, statements)
    mine = rules_of_subject(uow, kind, subject_id)
    through = Through(uow, kind, subject_id)
    pairs, granted = [], []
    for one in _pairs(rules):
        pair = _pair(uow, actor, mine, one, through)
        pairs.append(pair)
        if pair.outcome == "new":
            granted.append(one)
    people = [row.id for row in uow.all(_affected[kind], subject_id=subject_id)]
    shown = subject_names(uow, [("user", one) for one in people[:EXAMPLES]])
    return Simulation(
        pairs=tuple(pairs),
        users=len(people),
        names=tuple(sorted(link.name for link in shown.values())),
        reachable=tuple(_reachable(uow, mine, granted)) if granted else (),
    )


def _pairs(rules: list[Rule]) -> Iterator[Rule]:
    """Each pair of an action and a URN, as a rule of its own."""
    for rule in rules:
        for action in rule.statement.actions:
            for urn in rule.statement.urns:
                statement = PolicyStatement((action,), (urn,))
                yield Rule(statement=statement, organization_id=rule.organization_id)


def _pair(uow: UnitOfWork, actor: Actor, mine: Rules, one: Rule, through: Through) -> SimulatedPair:
    action, urn = one.statement.actions[0], one.statement.urns[0]
    first = urn.partition(":")[0]
    place = None if "*" in first else first
    names = forms_of(uow, urn)
    held = next((rule for rule in mine.all if rule.covers(action, urn, place, names)), None)
    if held is not None:
        return SimulatedPair(action=action, expression=urn, outcome="held", through=through.to(held.subject))
    try:
        require_within(uow, actor, [one])
    except Forbidden as refusal:
        return SimulatedPair(action=action, expression=urn, outcome="refused", why=refusal.message)
    return SimulatedPair(action=action, expression=urn, outcome="new")


def _reachable(uow: UnitOfWork, mine: Rules, granted: list[Rule]) -> Iterator[Reached]:
    """Things of identity that could be reached, at most EXAMPLES, of each type alike."""
    more = Rules(granted)
    wanted = {action for rule in granted for pattern in rule.statement.actions for action in actions_of(pattern)}
    for kind, statement in _things.items():
        actions = sorted(action for action in wanted if action.partition(":")[0] == kind)
        left = EXAMPLES // len(_things)
        for row in uow.all(statement) if actions else ():
            resource = _resource(uow, kind, row)
            found = [one for one in actions if more.allows(one, resource) and not mine.allows(one, resource)]
            if found:
                yield Reached(type=kind, id=row.id, name=row.name, urn=resource.urn, actions=tuple(found))
                left -= 1
                if not left:
                    break


def _resource(uow: UnitOfWork, kind: str, row: object) -> Resource:
    one_id, organization_id = str(row.id), str(row.organization_id)  # type: ignore[attr-defined]
    if kind == "organization":
        return Resource(organization_id=one_id, type=kind)
    if kind == "account":
        return resource_at(uow, kind, one_id)
    if kind == "role" and row.parent_type == "account":  # type: ignore[attr-defined]
        return resource_at(uow, kind, one_id, account_id=row.parent_id)  # type: ignore[attr-defined]
    holder = ("team", str(row.parent_id)) if kind == "role" and row.parent_type == "team" else None  # type: ignore[attr-defined]
    return Resource(organization_id=organization_id, type=kind, id=one_id, holder=holder)
