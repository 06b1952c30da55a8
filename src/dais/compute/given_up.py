"""Giving up a group whose engine does not come back: what it ran is lost, what waits for it never runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from dais.compute.groups.attached import check_removal, remove_group
from dais.compute.jobs.runs import cancel, lose
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import Segment
from dais.compute.logs import ship
from dais.compute.loops.housekeeping import ship_handle
from dais.identity import Actor
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import DaisError

if TYPE_CHECKING:
    from dais.compute.loops.group import Group

log = logging.getLogger(__name__)

LOG_SECONDS = 10.0
"""How long may be taken to save logs: those of engines that keep them on this machine are there, others are not."""

_unshipped = Statement(
    select(runs.c.id, runs.c.job_id, runs.c.idx, jobs.c.run_index, jobs.c.state)
    .select_from(runs.join(jobs, jobs.c.id == runs.c.job_id))
    .where(runs.c.shipped_at.is_(None), jobs.c.group_name == bindparam("group"))
    .order_by(runs.c.id)
)
_waiting = Statement(
    select(jobs.c.id).where(jobs.c.state == "PENDING", jobs.c.group_name == bindparam("group")).order_by(jobs.c.number)
)


def unshipped_of(uow: UnitOfWork, group: str) -> list[str]:
    """The runs of a group whose log is not in the blob store yet."""
    return [row.id for row in uow.all(_unshipped, group=group)]


async def save_logs(group: Group) -> dict[str, list[Segment]]:
    """What can be read of the logs of a group's runs without its engine, by run."""
    saved: dict[str, list[Segment]] = {}
    try:
        async with asyncio.timeout(LOG_SECONDS):
            for run_id in await group.db.read(unshipped_of, group.name):
                handle = await group.db.read(ship_handle, run_id)
                if handle is not None:
                    saved[run_id] = await ship(group.engine, handle, group.blobs)
    except (OSError, DaisError) as error:
        log.warning("logs of group %s cannot be saved: %s", group.name, error)
    return saved


def give_up_group(uow: UnitOfWork, actor: Actor, name: str, logs: Mapping[str, Sequence[Segment]]) -> None:
    """Forget a group whose engine cannot be reached. Its jobs end as node-lost, those that wait are cancelled.

    `logs` are what was saved of its runs' logs. Raises as `check_removal`.
    """
    check_removal(uow, actor, name, lost=True)
    detail = f"group {name} was detached by {actor.name} while its engine could not be reached"
    for row in uow.all(_unshipped, group=name):
        lose(uow, row, detail, logs.get(row.id, ()))
    for row in uow.all(_waiting, group=name):
        cancel(uow, row.id, "user-request", detail)
    remove_group(uow, actor, name)
