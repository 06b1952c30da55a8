"""Who may do what, asked of the database: the one place where permission is decided.

A user's rules are those of the policies attached to the user, to the teams that the user is in (directly or through
other teams), and to the roles that the user or one of those teams can assume. A token may narrow them; a role's key has
those of its role alone. An administrator of the installation may do everything.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Select, Table, bindparam, literal, null, select, union, union_all

from dais.identity.actions import check_action, only_reads
from dais.identity.audit import record
from dais.identity.errors import not_allowed
from dais.identity.evaluator import Held, Rule, Rules, Seen
from dais.identity.seeing import Visible, as_visible
from dais.identity.statements import parse, stored
from dais.identity.tables import (
    account_ancestors,
    accounts,
    policies,
    role_teams,
    role_users,
    team_ancestors,
    team_users,
)
from dais.identity.topics import CHANGED
from dais.identity.types import Actor
from dais.identity.urns import INSTALLATION, Resource
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import DaisError

ROOT = Rules([Rule(statement=parse("*@*"), organization_id=None, subject=("installation", ""))])
"""The rules of an administrator of the installation."""

_columns = (
    policies.c.id,
    policies.c.organization_id,
    policies.c.everywhere,
    policies.c.statements,
)


def _attached_to(kind: str) -> Select[Any]:
    return select(*_columns, literal(kind).label("kind"), policies.c[f"{kind}_id"].label("subject"))


_its_teams = (
    select(team_ancestors.c.ancestor_id.label("id"))
    .join(team_users, team_users.c.team_id == team_ancestors.c.team_id)
    .where(team_users.c.user_id == bindparam("id"))
    .cte("its_teams")
)
_its_roles = union(
    select(role_users.c.role_id).where(role_users.c.user_id == bindparam("id")),
    select(role_teams.c.role_id).where(role_teams.c.team_id.in_(select(_its_teams.c.id))),
)
_of_user = Statement(
    union_all(
        _attached_to("user").where(policies.c.user_id == bindparam("id")),
        _attached_to("team").where(policies.c.team_id.in_(select(_its_teams.c.id))),
        _attached_to("role").where(policies.c.role_id.in_(_its_roles)),
    )
)
_team_roles = select(role_teams.c.role_id).where(
    role_teams.c.team_id.in_(select(team_ancestors.c.ancestor_id).where(team_ancestors.c.team_id == bindparam("id")))
)
_of_team = Statement(
    union_all(
        _attached_to("team").where(
            policies.c.team_id.in_(
                select(team_ancestors.c.ancestor_id).where(team_ancestors.c.team_id == bindparam("id"))
            )
        ),
        _attached_to("role").where(policies.c.role_id.in_(_team_roles)),
    )
)
_of_role = Statement(_attached_to("role").where(policies.c.role_id == bindparam("id")))
_of = {"user": _of_user, "team": _of_team, "role": _of_role}


def _given(kind: str, members: Table) -> list[Select[Any]]:
    """The policies of a user or a team, and of the roles that are given to itself."""
    member = members.c[f"{kind}_id"] == bindparam("id")
    return [
        _attached_to(kind).where(policies.c[f"{kind}_id"] == bindparam("id")),
        _attached_to("role").join(members, members.c.role_id == policies.c.role_id).where(member),
    ]


_no_policy = select(null(), null(), literal(0), null(), literal("team"), team_users.c.team_id)
_given_to_user = Statement(
    union_all(*_given("user", role_users), _no_policy.where(team_users.c.user_id == bindparam("id")))
)
_given_to_team = Statement(union_all(*_given("team", role_teams)))
_teams_above = Statement(select(team_ancestors.c.ancestor_id).where(team_ancestors.c.team_id == bindparam("id")))

_above = Statement(
    select(accounts.c.organization_id, account_ancestors.c.ancestor_id)
    .join(accounts, accounts.c.id == account_ancestors.c.account_id)
    .where(account_ancestors.c.account_id == bindparam("account_id"))
)
_account_name = Statement(select(accounts.c.full_name).where(accounts.c.id == bindparam("account_id")))


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Whether somebody may do something, and the rules that say so."""

    allowed: bool
    rules: tuple[Rule, ...] = ()


def rules_of(uow: UnitOfWork, actor: Actor) -> Rules:
    """All the rules of the actor, without what the token narrows them to."""
    if actor.role_id is not None:
        return rules_of_subject(uow, "role", actor.role_id)
    return ROOT if actor.administrator else rules_of_subject(uow, "user", actor.id)


def rules_of_subject(uow: UnitOfWork, kind: str, subject_id: str) -> Rules:
    """All the rules of a `user`, `team` or `role`, with those that it inherits."""
    return uow.remembered(CHANGED, (kind, subject_id), lambda: _load(uow, kind, subject_id))


def _load(uow: UnitOfWork, kind: str, subject_id: str) -> Rules:
    """In one query where it is not remembered; else what others have, too, is read once for all of them."""
    if kind == "role" or not uow.remembers(CHANGED):
        return Rules(held=_held(uow.all(_of[kind], id=subject_id)))
    if kind == "user":
        return _load_given(uow, _given_to_user, subject_id)
    above = [row.ancestor_id for row in uow.all(_teams_above, id=subject_id)]  # itself, too
    load = functools.partial(_load_given, uow, _given_to_team)
    return Rules(parts=[uow.remembered(CHANGED, ("given", one), functools.partial(load, one)) for one in above])


def _load_given(uow: UnitOfWork, statement: Statement, subject_id: str) -> Rules:
    """The rules that a user or a team has itself and by its roles, and a user's teams as parts."""
    own: list[Row] = []
    by_role: dict[str, list[Row]] = {}
    parts: list[Rules] = []
    for row in uow.all(statement, id=subject_id):
        if row.id is None:
            parts.append(rules_of_subject(uow, "team", row.subject))
        elif row.kind == "role":
            by_role.setdefault(row.subject, []).append(row)
        else:
            own.append(row)
    for role, rows in by_role.items():
        load = functools.partial(Rules, held=_held(rows))
        parts.append(uow.remembered(CHANGED, ("role", role), load))
    return Rules(parts=parts, held=_held(own))


def require(
    uow: UnitOfWork,
    actor: Actor,
    action: str,
    *,
    account_id: str | None = None,
    organization_id: str | None = None,
    holder: tuple[str, str] | None = None,
    resource_type: str = "",
    resource_id: str = "",
    hidden: Callable[[], DaisError] | None = None,
) -> None:
    """Return when `actor` may do `action`; else raise Forbidden `not-allowed`. What changes something is audited.

    The thing lies in the account, else in the organization (below `holder`, a team or user), else it belongs to the
    installation. Without `resource_type` it is of the action's own type. `hidden` makes the error for those who may not
    even see it: the one that says that there is no such thing.
    """
    resource = resource_at(
        uow,
        resource_type or action.partition(":")[0],
        resource_id,
        account_id=account_id,
        organization_id=organization_id,
        holder=holder,
        new=action.endswith(":new"),
    )
    require_on(uow, actor, action, resource, hidden)


def require_on(
    uow: UnitOfWork, actor: Actor, action: str, resource: Resource, hidden: Callable[[], DaisError] | None = None
) -> None:
    """The same for a resource."""
    if may(uow, actor, action, resource):
        if not only_reads(action):
            record(uow, actor, action, resource.urn, resource.organization_id, allowed=True)
        return
    if hidden is not None and not may(uow, actor, f"{resource.type}:get", resource):
        raise hidden()
    raise not_allowed(
        actor.name,
        action,
        _place(uow, resource),
        f"ask an administrator of {_owner(resource)}",
        user=actor.name,
        urn=resource.urn,
        organization_id=resource.organization_id,
    )


def may(uow: UnitOfWork, actor: Actor, action: str, resource: Resource) -> bool:
    """Whether `actor` may do `action`, by its rules and within what its token is narrowed to."""
    check_action(action)
    if not rules_of(uow, actor).allows(action, resource):
        return False
    return actor.narrowed is None or narrowing(actor).allows(action, resource)


def may_see(uow: UnitOfWork, actor: Actor, action: str, account_id: str, resource_id: str = "") -> bool:
    """Whether `actor` may do `action` with a thing of an account; without an id, with all of that type."""
    kind = action.partition(":")[0]
    return may(uow, actor, action, resource_at(uow, kind, resource_id, account_id=account_id))


def decide(uow: UnitOfWork, actor: Actor, action: str, resource: Resource) -> Decision:
    """The same as `may`, with every rule that allows it."""
    check_action(action)
    found = tuple(rules_of(uow, actor).reasons(action, resource))
    allowed = bool(found) and (actor.narrowed is None or narrowing(actor).allows(action, resource))
    return Decision(allowed=allowed, rules=found)


def visible(uow: UnitOfWork, actor: Actor, action: str, *, holder: str | None = "account") -> Visible:
    """What the actor may see of the things of the action's type, for `seeing.conditions`.

    `holder` is the type of what these things lie in; None for those of an organization or of the installation.
    """
    check_action(action)
    seen, narrowed = _seen(uow, actor, action, holder)
    return as_visible(seen, narrowed, uow.dialect)


def listed(
    uow: UnitOfWork,
    actor: Actor,
    action: str,
    *,
    account_id: str | None = None,
    organization_id: str | None = None,
    holder: str | None = "account",
) -> Visible:
    """The same for a list that is asked for: raises Forbidden when there is nothing of the type that they may see.

    An empty list would say that there is nothing; with a token that is narrowed to other things that is no answer.
    """
    seen = visible(uow, actor, action, holder=holder)
    if seen.nothing:
        where = organization_id or (actor.organization_id if holder == "account" else None)
        require(uow, actor, action, account_id=account_id, organization_id=where)
    return seen


def narrowing(actor: Actor) -> Rules:
    """What the actor's token is narrowed to, as rules of its own, which bound what it may do and give nothing."""
    assert actor.narrowed is not None
    return _narrowing(actor.narrowed)


@functools.lru_cache(maxsize=1024)
def _narrowing(statements: tuple[str, ...]) -> Rules:
    return Rules(Rule(statement=stored(text), organization_id=None) for text in statements)


def resource_at(
    uow: UnitOfWork,
    kind: str,
    resource_id: str = "",
    *,
    account_id: str | None = None,
    organization_id: str | None = None,
    holder: tuple[str, str] | None = None,
    new: bool = False,
) -> Resource:
    """A thing of a type and where it lies; see `require`. An account that is not there lies in no organization."""
    if kind == "account" and resource_id and account_id is None:
        account_id = resource_id
    if account_id is None:
        place = organization_id or INSTALLATION
        return Resource(organization_id=place, type=kind, id=resource_id, holder=holder, new=new)
    place, above = uow.remembered(CHANGED, ("above", account_id), lambda: _accounts_above(uow, account_id))
    if kind == "account" and not new:
        return Resource(organization_id=place, type=kind, id=account_id, accounts=above)
    holder = ("account", account_id)
    return Resource(organization_id=place, type=kind, id=resource_id, holder=holder, accounts=above, new=new)


def _accounts_above(uow: UnitOfWork, account_id: str) -> tuple[str, tuple[str, ...]]:
    rows = uow.all(_above, account_id=account_id)
    return (rows[0].organization_id if rows else "", tuple(row.ancestor_id for row in rows) or (account_id,))


def _seen(uow: UnitOfWork, actor: Actor, action: str, holder: str | None) -> tuple[Seen, Seen | None]:
    seen = rules_of(uow, actor).seen(action, holder)
    return seen, None if actor.narrowed is None else narrowing(actor).seen(action, holder)


def _held(rows: list[Row]) -> list[Held]:
    return [
        Held(
            lines=row.statements,
            organization_id=None if row.everywhere else row.organization_id,
            policy_id=row.id,
            subject=(row.kind, row.subject),
        )
        for row in rows
    ]


def _place(uow: UnitOfWork, resource: Resource) -> str:
    what = f"{resource.type} {resource.id}" if resource.id else ""
    account_id = resource.id if resource.type == "account" and resource.id else ""
    if resource.holder is not None and resource.holder[0] == "account":
        account_id = resource.holder[1]
    if account_id:
        name = uow.scalar(_account_name, account_id=account_id)
        where = f"in the account {name}" if name else "there"
        return f"{what} {where}".strip() if resource.type != "account" else f"on the account {name or account_id}"
    where = "in this installation" if resource.organization_id == INSTALLATION else "in this organization"
    return f"{what} {where}".strip()


def _owner(resource: Resource) -> str:
    if resource.organization_id == INSTALLATION:
        return "the installation"
    in_account = (resource.type == "account" and resource.id) or (
        resource.holder is not None and resource.holder[0] == "account"
    )
    return "that account" if in_account else "the organization"
