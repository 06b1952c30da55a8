"""Claiming, finishing and removing environments."""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from dais.compute.environments.queries import environment_row
from dais.compute.environments.tables import environments
from dais.compute.jobs.tables import runs
from dais.compute.jobs.types import Segment
from dais.identity import Actor
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.errors import Conflict
from dais.kit.ids import new_id

_by_key = Statement(
    select(environments)
    .where(
        environments.c.organization_id == bindparam("organization_id"),
        environments.c.key == bindparam("key"),
    )
    .with_for_update()
)
_by_id = Statement(select(environments).where(environments.c.id == bindparam("id")))
_insert = Statement(insert(environments), suffix="ON CONFLICT DO NOTHING")
_claim_again = Statement(
    update(environments)
    .where(environments.c.id == bindparam("id_"), environments.c.state == "FAILED")
    .values(
        state="BUILDING",
        attempt_id=bindparam("attempt_id"),
        built_for_run=bindparam("built_for_run"),
        handle=None,
        detail=None,
        log_segments=None,
    )
)
_lost = Statement(
    update(environments)
    .where(
        environments.c.id == bindparam("id_"),
        environments.c.attempt_id == bindparam("attempt"),
        environments.c.state == "BUILDING",
    )
    .values(attempt_id=bindparam("attempt_id"), handle=None)
)
_touch = Statement(
    update(environments).where(environments.c.id == bindparam("id_")).values(last_used_at=bindparam("at"))
)
_set_handle = Statement(
    update(environments).where(environments.c.id == bindparam("id_")).values(handle=bindparam("handle"))
)
_finish = Statement(
    update(environments)
    .where(environments.c.id == bindparam("id_"), environments.c.attempt_id == bindparam("attempt"))
    .values({name: bindparam(name) for name in ("state", "detail", "size", "built_at", "log_segments")})
)
_in_use = Statement(
    select(func.count())
    .select_from(runs)
    .where(
        runs.c.environment_id == bindparam("environment_id"), runs.c.state.in_(("SCHEDULED", "PREPARING", "RUNNING"))
    )
)
_delete = Statement(delete(environments).where(environments.c.id == bindparam("id_")))


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """An environment that a run wants. `state` is BUILDING, READY or FAILED; `attempt_id` names its build."""

    id: str
    state: str
    attempt_id: str
    detail: str | None = None


def claim_environment(
    uow: UnitOfWork, organization_id: str, key: str, *, kind: str, requirements: str, interpreter: str, run_id: str
) -> Claim:
    """The environment with this key: the one there is, or a new one to be built; a failed one is built again.

    Whoever finds it BUILDING waits for its end; the build is idempotent by its attempt id, so that any of them may
    (re)start it.
    """
    uow.run(
        _insert,
        id=new_id(),
        organization_id=organization_id,
        key=key,
        state="BUILDING",
        requirements=requirements,
        kind=kind,
        interpreter=interpreter,
        detail=None,
        attempt_id=new_id(),
        handle=None,
        built_for_run=run_id,
        log_segments=None,
        size=None,
        created_at=uow.now,
        built_at=None,
        last_used_at=uow.now,
    )
    row = uow.one(_by_key, organization_id=organization_id, key=key)
    assert row is not None
    uow.run(_touch, id_=row.id, at=uow.now)
    if row.state == "FAILED":
        uow.run(_claim_again, id_=row.id, attempt_id=new_id(), built_for_run=run_id)
        row = uow.one(_by_id, id=row.id)
        assert row is not None
    return _claim(row)


def read_claim(uow: UnitOfWork, environment_id: str) -> Claim | None:
    """How an environment is now; None when it has been removed."""
    row = uow.one(_by_id, id=environment_id)
    return None if row is None else _claim(row)


def store_build_handle(uow: UnitOfWork, environment_id: str, handle: dict[str, object]) -> None:
    """Keep what finds the build again."""
    uow.run(_set_handle, id_=environment_id, handle=msgspec.json.encode(handle).decode())


def build_again(uow: UnitOfWork, environment_id: str, attempt_id: str) -> None:
    """Nobody knows how this build ended: whoever waits for the environment begins another one."""
    uow.run(_lost, id_=environment_id, attempt=attempt_id, attempt_id=new_id())
    uow.hint("environments")


def finish_environment(
    uow: UnitOfWork,
    environment_id: str,
    attempt_id: str,
    *,
    ok: bool,
    detail: str | None,
    size: int | None,
    segments: list[Segment],
) -> None:
    """The build has ended. Guarded by its attempt id: a build that was given up changes nothing."""
    changed = uow.run(
        _finish,
        id_=environment_id,
        attempt=attempt_id,
        state="READY" if ok else "FAILED",
        detail=detail,
        size=size,
        built_at=uow.now,
        log_segments=msgspec.json.encode(segments).decode(),
    )
    if changed:
        uow.emit(
            Event("environment.state", "environment", environment_id, None, {"state": "READY" if ok else "FAILED"})
        )
    uow.hint("environments")


def remove_environment(uow: UnitOfWork, actor: Actor, environment_id: str) -> None:
    """Forget an environment; the next job that wants it builds it again. Raises Conflict `in-use`."""
    row = environment_row(uow, actor, environment_id, "environment:rm")
    used = uow.scalar(_in_use, environment_id=environment_id)
    if used or row.state == "BUILDING":
        jobs = "a running job uses it" if used == 1 else f"{used} running jobs use it"
        why = f"{jobs}; wait for the end" if used else "it is being built; wait until it is ready"
        raise Conflict(f"environment {environment_id} cannot be removed: {why}", code="in-use")
    uow.run(_delete, id_=environment_id)


def _claim(row: Row) -> Claim:
    return Claim(id=row.id, state=row.state, attempt_id=row.attempt_id, detail=row.detail)
