"""What somebody may do, who may do something, and through what: the evaluator's answers with their reasons."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from urllib.parse import unquote

from sqlalchemy import bindparam, func, literal, or_, select, union_all

from dais.identity.actions import ACTIONS, asked_for
from dais.identity.evaluator import Rule
from dais.identity.queries.policies import require_subject
from dais.identity.queries.through import Names, Through, subject_names
from dais.identity.rules import narrowing, require_on, resource_at, rules_of, rules_of_subject
from dais.identity.statements import actions_of, matches
from dais.identity.tables import (
    organizations,
    policies,
    role_teams,
    role_users,
    team_ancestors,
    team_users,
    tokens,
    users,
)
from dais.identity.types import Actor, AllowedOne, Explanation, HeldRule, Link, WhoIsAllowed
from dais.identity.urns import INSTALLATION, Resource
from dais.kit.database import Statement, UnitOfWork, in_list
from dais.kit.errors import Invalid
from dais.kit.ids import is_id

MOST_SHOWN = 1_000
"""Users and roles that are named of those that may do something."""

_columns = (
    policies.c.organization_id,
    policies.c.everywhere,
    policies.c.statements,
    policies.c.user_id,
    policies.c.team_id,
    policies.c.role_id,
)
_all_policies = Statement(select(*_columns))
_policies_of = Statement(
    select(*_columns).where(or_(policies.c.organization_id == bindparam("organization_id"), policies.c.everywhere == 1))
)
_in_team = select(team_users.c.user_id, team_ancestors.c.ancestor_id.label("subject")).join(
    team_ancestors, team_ancestors.c.team_id == team_users.c.team_id
)
_in_team_of_role = (
    select(team_users.c.user_id, role_teams.c.role_id.label("subject"))
    .join(team_ancestors, team_ancestors.c.team_id == team_users.c.team_id)
    .join(role_teams, role_teams.c.team_id == team_ancestors.c.ancestor_id)
)
_subjects = union_all(
    select(users.c.id.label("user_id"), users.c.id.label("subject"), literal("user").label("kind")).where(
        in_list(users.c.id, "users")
    ),
    _in_team.add_columns(literal("team").label("kind")).where(in_list(team_ancestors.c.ancestor_id, "teams")),
    select(role_users.c.user_id, role_users.c.role_id, literal("role")).where(in_list(role_users.c.role_id, "roles")),
    _in_team_of_role.add_columns(literal("role").label("kind")).where(in_list(role_teams.c.role_id, "roles")),
).subquery()
_let_in = (
    select(users.c.id, users.c.name, organizations.c.name.label("organization"))
    .join(organizations, organizations.c.id == users.c.organization_id)
    .where(users.c.disabled_at.is_(None))
)
_holders = Statement(
    _let_in.add_columns(_subjects.c.kind, _subjects.c.subject)
    .join(_subjects, _subjects.c.user_id == users.c.id)
    .distinct()
)
_administrators = Statement(_let_in.where(users.c.administrator_at.is_not(None)))
_keys = Statement(
    select(tokens.c.role_id, func.count().label("keys"))
    .where(
        in_list(tokens.c.role_id, "roles"),
        tokens.c.revoked_at.is_(None),
        or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > bindparam("now")),
    )
    .group_by(tokens.c.role_id)
)
_is_administrator = Statement(
    select(users.c.id).where(users.c.id == bindparam("id"), users.c.administrator_at.is_not(None))
)

ROOT = HeldRule(
    action="*", expression="*", policy_id=None, through=(Link(type="installation", id="", name="administrator"),)
)
"""What every administrator of the installation has."""


def list_rules(uow: UnitOfWork, actor: Actor, subject: tuple[str, str] | None = None) -> list[HeldRule]:
    """Each action and URN expression that the actor, or a `("user" | "team" | "role", id)`, has, and through what.

    What a token is narrowed to is not among it: it takes away. Raises Forbidden for others whose policies the actor
    may not list.
    """
    kind, subject_id, found = _rules(uow, actor, subject)
    through = Through(uow, kind, subject_id)
    held = [
        HeldRule(action=action, expression=urn, policy_id=rule.policy_id, through=through.to(rule.subject))
        for rule in found
        for action in rule.statement.actions
        for urn in rule.statement.urns
    ]
    return [ROOT, *held] if _is_root(uow, actor, kind, subject_id, own=subject is None) else held


def explain(
    uow: UnitOfWork, actor: Actor, action: str, urn: str, subject: tuple[str, str] | None = None
) -> Explanation:
    """Whether the actor, or somebody else, may do `action` with the thing of a URN, and every rule that says so.

    A URN of an account, team, user or organization stands for what lies in it where the action makes or lists things
    of another type. Raises Invalid `bad-urn`, `unknown-action`, Forbidden as `list_rules`.
    """
    resource = named(uow, action, urn)
    kind, subject_id, found = _rules(uow, actor, subject)
    through = Through(uow, kind, subject_id)
    held = []
    if _is_root(uow, actor, kind, subject_id, own=subject is None):
        held.append(ROOT)
    for rule in found:
        if rule.matches(action, resource):
            held.append(
                HeldRule(
                    action="+".join(rule.statement.actions),
                    expression="+".join(rule.statement.urns),
                    policy_id=rule.policy_id,
                    through=through.to(rule.subject),
                )
            )
    narrowed = subject is None and actor.narrowed is not None and not narrowing(actor).allows(action, resource)
    return Explanation(
        action=action, urn=resource.urn, allowed=bool(held) and not narrowed, narrowed=narrowed, rules=tuple(held)
    )


def who_is_allowed(uow: UnitOfWork, actor: Actor, action: str, urn: str) -> WhoIsAllowed:
    """Every user who is let in and may do `action` with the thing of a URN, and every role with a key that may.

    For those who may `policy:get` where the thing lies. At most MOST_SHOWN are named. Raises as `explain`.
    """
    resource = named(uow, action, urn)
    require_on(uow, actor, "policy:get", _policies_beside(uow, resource))
    matched = _matching(uow, action, resource)
    subjects: dict[str, list[str]] = {"user": [], "team": [], "role": []}
    for kind, subject_id in matched:
        subjects[kind].append(subject_id)
    people: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    rows = uow.all(_holders, users=subjects["user"], teams=subjects["team"], roles=subjects["role"])
    for row in rows:
        people.setdefault(row.id, (f"{row.organization}.{row.name}", []))[1].append((row.kind, row.subject))
    for row in uow.all(_administrators):
        people.setdefault(row.id, (f"{row.organization}.{row.name}", []))[1].append(("installation", ""))
    names = subject_names(uow, matched)
    found = [
        _allowed("user", user_id, name, through, names, matched)
        for user_id, (name, through) in sorted(people.items(), key=lambda item: item[1][0])
    ]
    for row in uow.all(_keys, roles=subjects["role"], now=uow.now):
        role = ("role", row.role_id)
        one = _allowed("role", row.role_id, names[role].name, [role], names, matched, keys=row.keys)
        found.append(one)
    return WhoIsAllowed(action=action, urn=resource.urn, total=len(found), items=tuple(found[:MOST_SHOWN]))


def named(uow: UnitOfWork, action: str, urn: str) -> Resource:
    """The thing that an action would be done with. Raises Invalid `bad-urn`, `unknown-action`."""
    if action not in ACTIONS:
        near = difflib.get_close_matches(action[:80], sorted(ACTIONS), 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`dais rule actions` lists them all"
        raise Invalid(
            f"there is no action {action[:80]!r}; {hint}", code="unknown-action", action=action[:80], near=near
        )
    parts = [unquote(part) for part in urn.split(":")]
    kind, _, verb = action.partition(":")
    if "*" in urn or len(parts) not in (1, 3, 5) or not (is_id(parts[0]) or parts[0] == INSTALLATION):
        raise Invalid(
            f"{urn[:200]!r} does not name one thing; a URN is organization:type:id, or organization:account:id:type:id "
            "(`--field urn` prints it); what a pattern would allow is told by `dais policy simulate`",
            code="bad-urn",
            urn=urn[:200],
        )
    organization_id = parts[0]
    last = parts[-2] if len(parts) > 1 else "organization"
    inside = verb == "new" or (verb == "list" and last != kind)  # the URN is of what it lies in
    if len(parts) == 1:
        holder = None
        return _at(uow, organization_id, kind if inside else "organization", "", holder, new=verb == "new")
    if inside:
        return _at(uow, organization_id, kind, "", (parts[-2], parts[-1]), new=verb == "new")
    holder = (parts[1], parts[2]) if len(parts) == 5 else None
    return _at(uow, organization_id, last, parts[-1], holder)


def _at(
    uow: UnitOfWork,
    organization_id: str,
    kind: str,
    resource_id: str,
    holder: tuple[str, str] | None,
    *,
    new: bool = False,
) -> Resource:
    account_id = holder[1] if holder is not None and holder[0] == "account" else None
    if kind == "account" and resource_id:
        account_id = resource_id
    if account_id is None:
        return Resource(organization_id=organization_id, type=kind, id=resource_id, holder=holder, new=new)
    found = resource_at(uow, kind, resource_id, account_id=account_id, new=new)
    if found.organization_id == organization_id:
        return found
    # No such account there: it goes by the name alone that was given.
    return Resource(
        organization_id=organization_id, type=kind, id=resource_id, holder=holder, accounts=(account_id,), new=new
    )


def _policies_beside(uow: UnitOfWork, resource: Resource) -> Resource:
    """The policies of where a thing lies."""
    if resource.accounts:
        place = resource_at(uow, "policy", account_id=resource.accounts[0])
        if place.organization_id == resource.organization_id:
            return place
    return Resource(organization_id=resource.organization_id, type="policy", holder=resource.holder)


def _rules(uow: UnitOfWork, actor: Actor, subject: tuple[str, str] | None) -> tuple[str, str, tuple[Rule, ...]]:
    if subject is None and actor.role_id is None:
        subject = ("user", actor.id)
        return (*subject, rules_of_subject(uow, *subject).all)
    if subject is None:
        return "role", str(actor.role_id), rules_of(uow, actor).all
    if subject != ("user", actor.id) or actor.role_id is not None:
        require_subject(uow, actor, "list", *subject)
    return (*subject, rules_of_subject(uow, *subject).all)


def _is_root(uow: UnitOfWork, actor: Actor, kind: str, subject_id: str, *, own: bool) -> bool:
    if own:
        return actor.administrator
    return kind == "user" and uow.one(_is_administrator, id=subject_id) is not None


def _matching(uow: UnitOfWork, action: str, resource: Resource) -> dict[tuple[str, str], list[str]]:
    """The statements that allow it, by whom they are attached to. All of an organization's are looked through."""
    wanted = asked_for(action)
    names = resource.names
    organization_id = resource.organization_id
    asks: dict[str, bool] = {}
    found: dict[tuple[str, str], list[str]] = {}
    whole = organization_id == INSTALLATION
    for row in uow.all(_all_policies) if whole else uow.all(_policies_of, organization_id=organization_id):
        fenced = not row.everywhere and row.organization_id != organization_id
        for line in row.statements.split("\n"):
            actions, _, urns = line.partition("@")
            asked = asks.get(actions)
            if asked is None:
                asked = asks[actions] = any(one in actions_of(part) for part in actions.split("+") for one in wanted)
            if asked and _one_matches(urns, names, fenced=fenced):
                found.setdefault(_subject(row), []).append(line)
    return found


def _one_matches(urns: str, names: Iterable[str], *, fenced: bool) -> bool:
    for urn in urns.split("+"):
        # A rule of an organization reaches what is the installation's by that name alone.
        if fenced and urn.partition(":")[0] != INSTALLATION:
            continue
        if any(matches(urn, name) for name in names):
            return True
    return False


def _subject(row: object) -> tuple[str, str]:
    for kind in ("user", "team", "role"):
        subject_id = getattr(row, f"{kind}_id")
        if subject_id is not None:
            return kind, subject_id
    raise AssertionError("a policy is attached to nobody")


def _allowed(
    kind: str,
    one_id: str,
    name: str,
    through: list[tuple[str, str]],
    names: Names,
    matched: dict[tuple[str, str], list[str]],
    *,
    keys: int = 0,
) -> AllowedOne:
    links = tuple(names.get(one) or ROOT.through[0] for one in sorted(set(through)))
    statements = tuple(dict.fromkeys(line for one in sorted(set(through)) for line in matched.get(one, ("*@*",))))
    return AllowedOne(type=kind, id=one_id, name=name, through=links, statements=statements, keys=keys)
