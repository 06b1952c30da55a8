"""Reading runs together with all that preparing, launching and stopping them needs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, select

from dais.compute.images.tables import images
from dais.compute.images.types import Pin
from dais.compute.jobs.pins import NOTHING, decode_pins
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import FolderMount, Work
from dais.engines.contract import Handle
from dais.identity import get_account, user_names
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.wire.spec import JobSpec

JOB_COLUMNS = (
    jobs.c.id.label("job_id"),
    jobs.c.name.label("job_name"),
    jobs.c.number.label("job_number"),
    jobs.c.group_name,
    jobs.c.spec,
    jobs.c.mounts,
    jobs.c.pins,
    jobs.c.image,
    jobs.c.image_id,
    jobs.c.image_pin,
    jobs.c.account_id,
    jobs.c.owner_id,
    jobs.c.cancel_reason,
    images.c.path.label("root"),
    images.c.python,
)
"""What a work is made of beside its run; from jobs with ITS_IMAGE."""
ITS_IMAGE = (images.c.group_name == jobs.c.group_name) & (images.c.name == jobs.c.image)
_columns = (
    runs.c.id.label("run_id"),
    runs.c.idx.label("run_index"),
    runs.c.node,
    runs.c.gpus,
    runs.c.state,
    runs.c.launched_at,
    runs.c.handle,
    runs.c.environment_id,
    *JOB_COLUMNS,
)
_joined = runs.join(jobs, jobs.c.id == runs.c.job_id).outerjoin(images, ITS_IMAGE)
_by_ids = Statement(select(*_columns).select_from(_joined).where(in_list(runs.c.id, "ids")))
_placed = Statement(
    select(*_columns)
    .select_from(_joined)
    .where(runs.c.group_name == bindparam("group"), runs.c.state.in_(("SCHEDULED", "PREPARING", "RUNNING")))
    .order_by(runs.c.id)
)
_spec = msgspec.json.Decoder(JobSpec)
_pin = msgspec.json.Decoder(Pin)
_mounts = msgspec.json.Decoder(tuple[FolderMount, ...])


def works(uow: UnitOfWork, run_ids: Sequence[str]) -> list[Work]:
    """The runs with these ids; those that do not exist are left out."""
    return _decode(uow, uow.all(_by_ids, ids=list(run_ids))) if run_ids else []


def placed_works(uow: UnitOfWork, group: str) -> list[Work]:
    """Every run of the group that holds slots, oldest first."""
    return _decode(uow, uow.all(_placed, group=group))


def _decode(uow: UnitOfWork, rows: Sequence[Row]) -> list[Work]:
    people = People(uow, rows)
    return [
        new_work(
            row,
            people,
            run_id=row.run_id,
            run_index=row.run_index,
            node=row.node,
            state=row.state,
            gpus=msgspec.json.decode(row.gpus, type=tuple[str, ...]) if row.gpus else (),
            launched_at=row.launched_at,
            handle=msgspec.json.decode(row.handle) if row.handle else None,
            environment_id=row.environment_id,
        )
        for row in rows
    ]


class People:
    """The accounts and the owners of jobs."""

    def __init__(self, uow: UnitOfWork, rows: Sequence[Row]) -> None:
        self.accounts = {id_: get_account(uow, id_) for id_ in {row.account_id for row in rows}}
        self.users = user_names(uow, {row.owner_id for row in rows})


def new_work(
    row: Row,
    people: People,
    *,
    run_id: str,
    run_index: int,
    node: str,
    state: str,
    gpus: tuple[str, ...] = (),
    launched_at: int | None = None,
    handle: Handle | None = None,
    environment_id: str | None = None,
) -> Work:
    """A run of the job in `row`, which has JOB_COLUMNS."""
    account = people.accounts[row.account_id]
    pin = _pin.decode(row.image_pin) if row.image_pin else None
    return Work(
        run_id=run_id,
        run_index=run_index,
        job_id=row.job_id,
        job_name=row.job_name,
        job_number=row.job_number,
        group=row.group_name,
        node=node,
        gpus=gpus,
        state=state,
        spec=_spec.decode(row.spec),
        mounts=_mounts.decode(row.mounts),
        pins=decode_pins(row.pins) if row.pins else NOTHING,
        image=(pin.id if pin else None) or row.image,
        root=row.root,
        python=pin.python if pin else row.python,
        image_id=row.image_id,
        pin=pin,
        organization_id=account.organization_id,
        account_id=row.account_id,
        account=account.full_name,
        user=people.users[row.owner_id],
        owner_id=row.owner_id,
        launched_at=launched_at,
        handle=handle,
        environment_id=environment_id,
        cancel_reason=row.cancel_reason,
    )
