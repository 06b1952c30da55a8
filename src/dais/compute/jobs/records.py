"""Reading runs together with all that preparing, launching and stopping them needs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, select

from dais.compute.images.tables import images
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import FolderMount, Work
from dais.identity import get_account, user_names
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.wire.spec import JobSpec

_columns = (
    runs.c.id.label("run_id"),
    runs.c.idx.label("run_index"),
    runs.c.node,
    runs.c.gpus,
    runs.c.state,
    runs.c.launched_at,
    runs.c.handle,
    runs.c.environment_id,
    jobs.c.id.label("job_id"),
    jobs.c.name.label("job_name"),
    jobs.c.number.label("job_number"),
    jobs.c.group_name,
    jobs.c.spec,
    jobs.c.mounts,
    jobs.c.image,
    jobs.c.account_id,
    jobs.c.owner_id,
    jobs.c.cancel_reason,
    images.c.path.label("root"),
    images.c.python,
)
_joined = runs.join(jobs, jobs.c.id == runs.c.job_id).outerjoin(
    images, (images.c.group_name == jobs.c.group_name) & (images.c.name == jobs.c.image)
)
_by_ids = Statement(select(*_columns).select_from(_joined).where(in_list(runs.c.id, "ids")))
_placed = Statement(
    select(*_columns)
    .select_from(_joined)
    .where(runs.c.group_name == bindparam("group"), runs.c.state.in_(("SCHEDULED", "PREPARING", "RUNNING")))
    .order_by(runs.c.id)
)
_spec = msgspec.json.Decoder(JobSpec)
_mounts = msgspec.json.Decoder(tuple[FolderMount, ...])


def works(uow: UnitOfWork, run_ids: Sequence[str]) -> list[Work]:
    """The runs with these ids; those that do not exist are left out."""
    return _decode(uow, uow.all(_by_ids, ids=list(run_ids))) if run_ids else []


def placed_works(uow: UnitOfWork, group: str) -> list[Work]:
    """Every run of the group that holds slots, oldest first."""
    return _decode(uow, uow.all(_placed, group=group))


def _decode(uow: UnitOfWork, rows: Sequence[Row]) -> list[Work]:
    accounts = {id_: get_account(uow, id_) for id_ in {row.account_id for row in rows}}
    users = user_names(uow, {row.owner_id for row in rows})
    return [
        Work(
            run_id=row.run_id,
            run_index=row.run_index,
            job_id=row.job_id,
            job_name=row.job_name,
            job_number=row.job_number,
            group=row.group_name,
            node=row.node,
            gpus=msgspec.json.decode(row.gpus, type=tuple[str, ...]) if row.gpus else (),
            state=row.state,
            spec=_spec.decode(row.spec),
            mounts=_mounts.decode(row.mounts),
            image=row.image,
            root=row.root,
            python=row.python,
            organization_id=accounts[row.account_id].organization_id,
            account_id=row.account_id,
            account=accounts[row.account_id].full_name,
            user=users[row.owner_id],
            launched_at=row.launched_at,
            handle=msgspec.json.decode(row.handle) if row.handle else None,
            environment_id=row.environment_id,
            cancel_reason=row.cancel_reason,
        )
        for row in rows
    ]
