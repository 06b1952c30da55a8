"""Policies: statements that are attached to a user, a team or a role."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert

from dais.identity.commands.names import changed
from dais.identity.evaluator import Rule
from dais.identity.granting import bounded, is_foreign, require_within
from dais.identity.queries.policies import get_policy, require_subject
from dais.identity.statements import parse
from dais.identity.tables import policies
from dais.identity.types import Actor, Policy
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid
from dais.kit.ids import new_id

MAX_STATEMENTS = 100
"""Statements of a policy."""
MAX_PAIRS = 2_000
"""Pairs of an action and a URN in a policy: each is held against what the actor has, while others wait to write."""

_insert = Statement(insert(policies))
_remove = Statement(delete(policies).where(policies.c.id == bindparam("policy_id")))


def create_policy(uow: UnitOfWork, actor: Actor, kind: str, subject_id: str, statements: list[str]) -> Policy:
    """Attach statements to a `user`, `team` or `role`.

    `*` in an organization's place means the subject's organization; when an administrator of the installation says it,
    every organization. Raises Invalid `bad-statement`, `unknown-action`, Forbidden `not-allowed`, `beyond-own`.
    """
    organization_id = require_subject(uow, actor, "new", kind, subject_id)
    rules, everywhere = prepared(actor, organization_id, statements)
    require_within(uow, actor, rules)
    policy_id = new_id()
    owner = {f"{one}_id": subject_id if one == kind else None for one in ("user", "team", "role")}
    uow.run(
        _insert,
        id=policy_id,
        organization_id=organization_id,
        statements="\n".join(str(rule.statement) for rule in rules),
        everywhere=int(everywhere),
        created_by=actor.id,
        created_at=uow.now,
        **owner,
    )
    changed(uow, Event("policy.new", "policy", policy_id, None, {f"{kind}_id": subject_id}))
    return get_policy(uow, policy_id)


def remove_policy(uow: UnitOfWork, actor: Actor, policy: Policy) -> None:
    """Take a policy away. Raises Conflict `predefined` for one that nobody made."""
    require_subject(uow, actor, "rm", policy.subject_type, policy.subject_id)
    if policy.predefined:
        raise Conflict("this policy is predefined and stays", code="predefined")
    uow.run(_remove, policy_id=policy.id)
    changed(uow, Event("policy.removed", "policy", policy.id, None, {f"{policy.subject_type}_id": policy.subject_id}))


def prepared(actor: Actor, organization_id: str, statements: list[str]) -> tuple[list[Rule], bool]:
    """Statements as the rules that a policy of them would be, and whether they reach beyond the organization."""
    if not 1 <= len(statements) <= MAX_STATEMENTS:
        raise Invalid(f"a policy has 1 to {MAX_STATEMENTS} statements, not {len(statements)}", code="bad-policy")
    parsed = [parse(text.strip()) for text in statements]
    pairs = sum(len(statement.actions) * len(statement.urns) for statement in parsed)
    if pairs > MAX_PAIRS:
        raise Invalid(
            f"these statements pair actions and URNs {pairs:,} times; at most {MAX_PAIRS:,} are possible in a policy: "
            "use *, or make several",
            code="bad-policy",
        )
    everywhere = actor.administrator and any(is_foreign(statement, organization_id) for statement in parsed)
    if not everywhere:
        parsed = [bounded(statement, organization_id) for statement in parsed]
    place = None if everywhere else organization_id
    return [Rule(statement=statement, organization_id=place) for statement in parsed], everywhere
