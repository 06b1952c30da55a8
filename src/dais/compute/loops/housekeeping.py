"""What is overdue: every state of a job has a limit, and nothing waits for ever."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy import bindparam, delete, or_, select

from dais.compute.environments.tables import environments
from dais.compute.jobs.outputs import pending_output, refuse_output
from dais.compute.jobs.runs import close_run, fail_preparation
from dais.compute.jobs.submit import KEY_LIFE
from dais.compute.jobs.tables import idempotency_keys, runs
from dais.compute.settings import ComputeSettings
from dais.engines.contract import Handle
from dais.kit.clock import SECOND
from dais.kit.database import Statement, UnitOfWork, in_list

_unshipped = Statement(
    select(runs.c.id)
    .where(runs.c.group_name == bindparam("group"), runs.c.shipped_at.is_(None), runs.c.ended_at.is_not(None))
    .order_by(runs.c.ended_at)
    .limit(1_000)
)
_handle = Statement(
    select(runs.c.handle, runs.c.id).where(runs.c.id == bindparam("run_id"), runs.c.shipped_at.is_(None))
)
_late_preparations = Statement(
    select(runs.c.id).where(
        runs.c.group_name == bindparam("group"),
        runs.c.state.in_(("SCHEDULED", "PREPARING")),
        runs.c.launched_at.is_(None),
        runs.c.created_at < bindparam("before"),
    )
)
_late_ships = Statement(
    select(runs.c.id).where(
        runs.c.group_name == bindparam("group"),
        runs.c.shipped_at.is_(None),
        runs.c.ended_at < bindparam("before"),
        or_(runs.c.phase_at.is_(None), runs.c.phase_at < bindparam("before")),
    )
)
_kept_runs = Statement(select(runs.c.id).where(in_list(runs.c.id, "ids"), runs.c.shipped_at.is_(None)))
_kept_builds = Statement(
    select(environments.c.attempt_id).where(
        in_list(environments.c.attempt_id, "ids"), environments.c.state == "BUILDING"
    )
)
_environments = Statement(select(environments.c.id).where(in_list(environments.c.id, "ids")))
_old_keys = Statement(delete(idempotency_keys).where(idempotency_keys.c.created_at < bindparam("before")))


def unshipped(uow: UnitOfWork, group: str) -> list[str]:
    """Ended runs whose log is still with the engine, oldest first."""
    return [row.id for row in uow.all(_unshipped, group=group)]


def ship_handle(uow: UnitOfWork, run_id: str) -> Handle | None:
    """The handle of a run whose log is to be shipped; None when it has been."""
    row = uow.one(_handle, run_id=run_id)
    if row is None:
        return None
    found: Handle = msgspec.json.decode(row.handle) if row.handle else {"attempt_id": run_id}
    return found


def leftover_attempts(uow: UnitOfWork, attempt_ids: Sequence[str]) -> list[str]:
    """Those of these attempts that nothing waits for: their log is stored, or they belong to nobody."""
    kept = {row.id for row in uow.all(_kept_runs, ids=attempt_ids)}
    kept |= {row.attempt_id for row in uow.all(_kept_builds, ids=attempt_ids)}
    return [attempt for attempt in attempt_ids if attempt not in kept]


def leftover_environments(uow: UnitOfWork, environment_ids: Sequence[str]) -> list[str]:
    """Those of these environments that were removed."""
    kept = {row.id for row in uow.all(_environments, ids=environment_ids)}
    return [one for one in environment_ids if one not in kept]


def overdue(uow: UnitOfWork, group: str, settings: ComputeSettings, sealing: Collection[str] = ()) -> None:
    """End preparations, give up logs and outputs that are past their limit; forget old idempotency keys.

    Those whose output is `sealing` now are not late.
    """
    limit = int((settings.preparation_limit + 60) * SECOND)
    for row in uow.all(_late_preparations, group=group, before=uow.now - limit):
        fail_preparation(uow, row.id, "preparation-timeout", "it was not prepared in time")
    for row in uow.all(_late_ships, group=group, before=uow.now - int(settings.finishing_limit * SECOND)):
        if row.id in sealing:
            continue
        if pending_output(uow, row.id) is not None:
            refuse_output(uow, row.id, "the output could not be stored in time")
        close_run(uow, row.id, [])
    uow.run(_old_keys, before=uow.now - KEY_LIFE)
