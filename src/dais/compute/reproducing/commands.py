"""Running a job again: with its recorded source, code, inputs, image, environment and resources, whatever is newer."""

from __future__ import annotations

import math

import msgspec
from sqlalchemy import bindparam, insert, select, update

from dais.compute.images.types import Pin
from dais.compute.jobs.lifecycle import FINAL
from dais.compute.jobs.queries import find_job, get_job
from dais.compute.jobs.submit import submit_job
from dais.compute.jobs.tables import jobs, runs
from dais.compute.jobs.types import FolderMount
from dais.compute.reproducing.tables import reproductions
from dais.compute.settings import ComputeSettings
from dais.identity import Actor, get_account
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid
from dais.wire import answers
from dais.wire.spec import JobSpec, Mount

_insert = Statement(insert(reproductions), suffix="ON CONFLICT DO NOTHING")
_set_image = Statement(
    update(jobs)
    .where(jobs.c.id == bindparam("job_id"))
    .values(image_id=bindparam("image_id"), image_pin=bindparam("image_pin"))
)
_succeeded = Statement(
    select(runs.c.idx)
    .where(runs.c.job_id == bindparam("job_id"), runs.c.state == "SUCCEEDED")
    .order_by(runs.c.idx.desc())
    .limit(1)
)
_spec = msgspec.json.Decoder(JobSpec)
_mounts = msgspec.json.Decoder(tuple[FolderMount, ...])
_pin = msgspec.json.Decoder(Pin)


def reproduce_job(
    uow: UnitOfWork,
    actor: Actor,
    ref: str,
    settings: ComputeSettings,
    *,
    account: str | None = None,
    tolerance: float = 0.0,
    key: str | None = None,
) -> answers.JobDetail:
    """Submit a job that is what another one was; the new job, which remembers it.

    `job:get` is needed on that job, and all that submitting it needs. Raises NotFound, Forbidden, Conflict
    `still-alive`, `never-succeeded`, Invalid, and as `submit_job`.
    """
    if not (math.isfinite(tolerance) and 0 <= tolerance <= 1):
        raise Invalid(f"the tolerance {tolerance} is not between 0 and 1", code="bad-tolerance", value=tolerance)
    row = find_job(uow, actor, ref, account=account, action="job:new")
    row = find_job(uow, actor, row.id)
    if row.state not in FINAL:
        raise Conflict(
            f"job {row.number} is {row.state}; it can be reproduced once it has ended", code="still-alive", job=row.id
        )
    run = uow.one(_succeeded, job_id=row.id)
    if run is None:
        raise Conflict(
            f"no run of job {row.number} has succeeded, so there is nothing to compare with; `dais job retry` runs it "
            "again",
            code="never-succeeded",
            job=row.id,
        )
    spec = _spec.decode(row.spec)
    mounts = _mounts.decode(row.mounts)
    where = get_account(uow, row.account_id).full_name
    made = submit_job(uow, actor, _again(row, spec, mounts, where), settings, key=key)
    if row.image_pin is not None:
        uow.run(_set_image, job_id=made.id, image_id=row.image_id, image_pin=row.image_pin)
    uow.run(
        _insert,
        job_id=made.id,
        of_job=row.id,
        of_run=run.idx,
        tolerance=float(tolerance),
        notes=msgspec.json.encode(_notes(row, spec, mounts)).decode(),
        created_at=uow.now,
    )
    return get_job(uow, actor, made.id)


def _again(row: Row, spec: JobSpec, mounts: tuple[FolderMount, ...], account: str) -> JobSpec:
    """What the job was asked for, with what its names meant then. Its output becomes a set of its own."""
    return msgspec.structs.replace(
        spec,
        name=None,
        account=account,
        group=row.group_name,
        image=row.image if spec.image is None else spec.image,
        data=tuple(
            Mount(name=mount.folder_id, path=mount.path, target=mount.target, read_only=mount.read_only)
            for mount in mounts
        ),
        output=None if spec.output is None else msgspec.structs.replace(spec.output, fileset=None),
        notify=(),
    )


def _notes(row: Row, spec: JobSpec, mounts: tuple[FolderMount, ...]) -> list[str]:
    """What may be another than it was."""
    notes = [f"the folder at {mount.target} has no versions: it is mounted as it is now" for mount in mounts]
    if spec.secrets:
        notes.append("secrets are given as they are now")
    if spec.network != "none":
        notes.append(f"the network ({spec.network}) is as it is now")
    if row.image_pin is not None and _pin.decode(row.image_pin).id is None:
        notes.append("the image's content was never written down: its reference is taken as it is now")
    return notes
