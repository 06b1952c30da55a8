"""Reading environments."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from dais.compute.environments.tables import environments
from dais.identity import Actor
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import NotFound
from dais.wire import answers

_all = Statement(
    select(environments)
    .where(environments.c.organization_id == bindparam("organization_id"))
    .order_by(environments.c.id.desc())
    .limit(1_000)
)
_by_id = Statement(select(environments).where(environments.c.id == bindparam("id")))


def list_environments(uow: UnitOfWork, actor: Actor) -> list[answers.Environment]:
    """The environments of the actor's organization, newest first, at most 1,000."""
    return [_answer(row) for row in uow.all(_all, organization_id=actor.organization_id)]


def get_environment(uow: UnitOfWork, actor: Actor, environment_id: str) -> answers.Environment:
    """One environment. Raises NotFound `no-such-environment`."""
    return _answer(environment_row(uow, actor, environment_id))


def environment_row(uow: UnitOfWork, actor: Actor, environment_id: str) -> Row:
    """The row, if the actor's organization owns it. Raises NotFound `no-such-environment`."""
    row = uow.one(_by_id, id=environment_id)
    if row is None or (row.organization_id != actor.organization_id and not actor.administrator):
        raise NotFound(
            f"there is no environment {environment_id}; `dais env ls` lists them", code="no-such-environment"
        )
    return row


def _answer(row: Row) -> answers.Environment:
    return answers.Environment(
        id=row.id,
        state=row.state,
        requirements=row.requirements,
        interpreter=row.interpreter,
        size=row.size,
        created_at=to_rfc3339(row.created_at),
        last_used_at=None if row.last_used_at is None else to_rfc3339(row.last_used_at),
        detail=row.detail,
    )
