"""Reading environments."""

from __future__ import annotations

import functools

from sqlalchemy import bindparam, select

from dais.compute.environments.tables import environments
from dais.identity import Actor, conditions, listed, require, urn
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import NotFound
from dais.wire import answers

_by_id = Statement(select(environments).where(environments.c.id == bindparam("id")))


@functools.cache
def _all(shape: frozenset[str]) -> Statement:
    """The newest environments that the conditions of this shape let through."""
    seen = conditions(shape, "environment", id=environments.c.id, organization=environments.c.organization_id)
    return Statement(select(environments).where(*seen).order_by(environments.c.id.desc()).limit(1_000))


def list_environments(uow: UnitOfWork, actor: Actor) -> list[answers.Environment]:
    """The environments that the actor may see, newest first, at most 1,000."""
    seen = listed(uow, actor, "environment:list", organization_id=actor.organization_id, holder=None)
    return [_answer(row) for row in uow.all(_all(seen.shape), **seen.values)]


def get_environment(uow: UnitOfWork, actor: Actor, environment_id: str) -> answers.Environment:
    """One environment. Raises NotFound `no-such-environment`."""
    return _answer(environment_row(uow, actor, environment_id))


def environment_row(uow: UnitOfWork, actor: Actor, environment_id: str, action: str = "environment:get") -> Row:
    """The row, if the actor may do `action` with it. Raises NotFound `no-such-environment`, Forbidden."""
    row = uow.one(_by_id, id=environment_id)
    hidden = functools.partial(_no_such_environment, environment_id)
    if row is None:
        raise hidden()
    place = row.organization_id
    require(uow, actor, action, organization_id=place, resource_id=environment_id, hidden=hidden)
    return row


def _no_such_environment(environment_id: str) -> NotFound:
    return NotFound(f"there is no environment {environment_id}; `dais env ls` lists them", code="no-such-environment")


def _answer(row: Row) -> answers.Environment:
    return answers.Environment(
        id=row.id,
        urn=urn(row.organization_id, None, "environment", row.id),
        state=row.state,
        requirements=row.requirements,
        interpreter=row.interpreter,
        size=row.size,
        created_at=to_rfc3339(row.created_at),
        last_used_at=None if row.last_used_at is None else to_rfc3339(row.last_used_at),
        detail=row.detail,
    )
