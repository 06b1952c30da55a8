"""Policies of users, teams and roles."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from dais.identity.queries.names import no_such
from dais.identity.queries.roles import get_role, resource_of
from dais.identity.queries.teams import get_team
from dais.identity.queries.users import get_user
from dais.identity.rules import may, require_on, resource_at
from dais.identity.tables import policies
from dais.identity.types import Actor, Policy
from dais.identity.urns import Resource
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Invalid

SUBJECTS = ("user", "team", "role")

_policies = select(policies)
_by_id = Statement(_policies.where(policies.c.id == bindparam("id")))
_of = {
    kind: Statement(_policies.where(policies.c[f"{kind}_id"] == bindparam("subject_id")).order_by(policies.c.id))
    for kind in SUBJECTS
}


def get_policy(uow: UnitOfWork, policy_id: str) -> Policy:
    """The policy, whoever asks. Raises NotFound `no-such-policy`."""
    row = uow.one(_by_id, id=policy_id)
    if row is None:
        raise no_such("policy", policy_id)
    return _policy(row)


def resolve_policy(uow: UnitOfWork, actor: Actor, policy_id: str) -> Policy:
    """The policy of an id. Raises NotFound `no-such-policy`, also for one that the actor may not see."""
    found = get_policy(uow, policy_id)
    if not may(uow, actor, *_asking(uow, "get", found.subject_type, found.subject_id)):
        raise no_such("policy", policy_id)
    return found


def list_policies(uow: UnitOfWork, actor: Actor, kind: str, subject_id: str) -> list[Policy]:
    """The policies that are attached to a `user`, `team` or `role`, the oldest first."""
    require_subject(uow, actor, "list", kind, subject_id)
    return [_policy(row) for row in uow.all(_of[kind], subject_id=subject_id)]


def require_subject(uow: UnitOfWork, actor: Actor, verb: str, kind: str, subject_id: str) -> str:
    """Require `policy:<verb>` on a user or team, or `role:set` (`role:get` to read) on a role; its organization's id.

    `user:set` is not enough: everybody may set themselves, and would keep what they have through others.
    Raises Invalid, NotFound, Forbidden.
    """
    action, place = _asking(uow, verb, kind, subject_id)
    require_on(uow, actor, action, place)
    return place.organization_id


def _asking(uow: UnitOfWork, verb: str, kind: str, subject_id: str) -> tuple[str, Resource]:
    """The action, and the thing that it is asked on."""
    if kind == "role":
        action = "role:get" if verb in ("get", "list") else "role:set"
        return action, resource_of(uow, get_role(uow, subject_id))
    if kind not in SUBJECTS:
        raise Invalid(f"{kind!r} is not one of {', '.join(SUBJECTS)}", code="bad-subject")
    found = get_user(uow, subject_id) if kind == "user" else get_team(uow, subject_id)
    holder = (kind, found.id)
    place = resource_at(uow, "policy", organization_id=found.organization_id, holder=holder, new=verb == "new")
    return f"policy:{verb}", place


def _policy(row: Row) -> Policy:
    kind = next(one for one in SUBJECTS if getattr(row, f"{one}_id") is not None)
    return Policy(
        id=row.id,
        organization_id=row.organization_id,
        subject_type=kind,
        subject_id=getattr(row, f"{kind}_id"),
        statements=tuple(row.statements.split("\n")),
        everywhere=bool(row.everywhere),
        predefined=row.created_by is None,
        created_by=row.created_by,
        created_at=row.created_at,
    )
