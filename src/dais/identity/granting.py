"""Nobody grants more than they have: not by a policy, not by a membership, not by acting for somebody else."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import bindparam, select

from dais.identity.evaluator import Rule, pattern_names
from dais.identity.queries.accounts import account_and_above
from dais.identity.rules import narrowing, rules_of, rules_of_subject
from dais.identity.statements import Statement as PolicyStatement
from dais.identity.tables import users
from dais.identity.types import Actor
from dais.identity.urns import INSTALLATION
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Forbidden, Invalid

_is_administrator = Statement(select(users.c.administrator_at).where(users.c.id == bindparam("id")))


def bounded(statement: PolicyStatement, organization_id: str) -> PolicyStatement:
    """The statement with the organization's id where it says `*` for it. Raises Invalid `bad-statement`."""
    urns: list[str] = []
    for pattern in statement.urns:
        first, colon, rest = pattern.partition(":")
        if pattern == "*":
            urns += [organization_id, f"{organization_id}:*"]
        elif first == "*":
            urns.append(f"{organization_id}:{rest}" if colon else organization_id)
        elif "*" in first:
            raise Invalid(
                f"{pattern[:80]!r}: in the organization's place stands its id or * alone; yours is {organization_id}",
                code="bad-statement",
            )
        else:
            urns.append(pattern)
    return PolicyStatement(statement.actions, tuple(dict.fromkeys(urns)))


def is_foreign(statement: PolicyStatement, organization_id: str) -> bool:
    """Whether the statement says more than an organization's own policies can: only the installation may grant it."""
    own = {organization_id, INSTALLATION}
    return any(pattern.partition(":")[0] not in own for pattern in statement.urns)


def require_within(uow: UnitOfWork, actor: Actor, rules: Iterable[Rule]) -> None:
    """Return when each pair of an action and a URN lies within one statement of the actor's.

    Raises Forbidden `beyond-own`, which names the first that does not.
    """
    mine = [rules_of(uow, actor)]
    if actor.narrowed is not None:
        mine.append(narrowing(actor))
    for rule in rules:
        for urn in rule.statement.urns:
            first = urn.partition(":")[0]
            place = None if "*" in first else first
            names = forms_of(uow, urn)
            for action in rule.statement.actions:
                if not all(held.covers(action, urn, place, names) for held in mine):
                    raise Forbidden(
                        f"{actor.name} cannot grant {action}@{urn}: one can grant only what lies within one statement "
                        "that one has oneself (`dais rule ls` lists yours); ask somebody who may",
                        code="beyond-own",
                        action=action,
                        urn=urn,
                        user=actor.name,
                        organization_id=actor.organization_id,
                    )


def forms_of(uow: UnitOfWork, urn: str) -> tuple[str, ...]:
    """The forms of a URN pattern: what it names goes by the names of the accounts above, too."""
    return pattern_names(urn, _accounts_above(uow, urn))


def require_to_be_let_in(uow: UnitOfWork, actor: Actor, kind: str, subject_id: str) -> None:
    """Return when the actor may let others have all that a role or a team has."""
    require_within(uow, actor, rules_of_subject(uow, kind, subject_id).all)


def require_over(uow: UnitOfWork, actor: Actor, user_id: str) -> None:
    """Return when the actor may act for a user: whoever sets their password, or makes a token of theirs, can be them.

    Raises Forbidden `beyond-own` when they may do something that the actor may not. Everybody may act for themselves.
    """
    if user_id == actor.id and actor.role_id is None and actor.narrowed is None:
        return
    if uow.scalar(_is_administrator, id=user_id) is not None and not (
        actor.administrator and actor.narrowed is None and actor.role_id is None
    ):
        raise Forbidden(
            f"{actor.name} cannot act for an administrator of the installation; ask one of them",
            code="beyond-own",
            action="installation:set",
            urn=f"{INSTALLATION}:installation:",
            user=actor.name,
            organization_id=actor.organization_id,
        )
    require_within(uow, actor, rules_of_subject(uow, "user", user_id).all)


def _accounts_above(uow: UnitOfWork, urn: str) -> list[str]:
    parts = urn.split(":", 3)
    if len(parts) < 3 or parts[1] != "account" or "*" in parts[2]:
        return []
    return account_and_above(uow, parts[2])
