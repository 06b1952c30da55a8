"""Which run holds which GPU. The primary key makes sure that no two runs ever hold the same one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update

from dais.compute.jobs.tables import gpu_holds, runs
from dais.kit.database import Statement, UnitOfWork

_hold = Statement(insert(gpu_holds))
_held = Statement(select(gpu_holds.c.node, gpu_holds.c.uuid))
_release = Statement(delete(gpu_holds).where(gpu_holds.c.run_id == bindparam("held_by")))
_note = Statement(update(runs).where(runs.c.id == bindparam("held_by")).values(gpus=bindparam("uuids")))


def held_gpus(uow: UnitOfWork) -> set[tuple[str, str]]:
    """Every GPU that a run holds, as (node, UUID), whichever group the run is of."""
    return {(row.node, row.uuid) for row in uow.all(_held)}


def hold_gpus(uow: UnitOfWork, run_id: str, node: str, uuids: Sequence[str]) -> None:
    """Give GPUs to a run that has just been placed. They stay its own until it has ended."""
    uow.many(_hold, [{"node": node, "uuid": uuid, "run_id": run_id} for uuid in uuids])
    note_gpus(uow, run_id, uuids)


def note_gpus(uow: UnitOfWork, run_id: str, uuids: Sequence[str]) -> None:
    """Write down with a run which GPUs it has; where the engine chooses them, how many, by the names of as many."""
    uow.run(_note, held_by=run_id, uuids=msgspec.json.encode(uuids).decode())


def release_gpus(uow: UnitOfWork, run_id: str) -> None:
    """The run has ended, or will never start: others may have its GPUs."""
    uow.run(_release, held_by=run_id)
