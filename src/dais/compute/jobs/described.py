"""Jobs as a kind of entities that have metadata: what a job tells of itself."""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, String, cast, func, select

from dais.compute.jobs.queries import find_job
from dais.compute.jobs.tables import jobs
from dais.identity import Actor
from dais.kit.database import UnitOfWork
from dais.provenance import COMMON, Entity, Kind

_rows = (
    select(
        jobs.c.id,
        jobs.c.account_id,
        jobs.c.id.label("resource"),
        cast(jobs.c.number, String).label("ref"),
        func.coalesce(jobs.c.name, "").label("full_path"),
        jobs.c.owner_id.label("created_by"),
        jobs.c.owner_id.label("creator_id"),
        jobs.c.created_at,
        jobs.c.created_at.label("create_time"),
        jobs.c.number,
        jobs.c.state,
        jobs.c.reason,
        jobs.c.group_name.label("group"),
        jobs.c.image,
        (cast(jobs.c.cpu_millis, Float) / 1000).label("cpu"),
        jobs.c.mem,
        jobs.c.gpu,
        (cast(jobs.c.ended_at - jobs.c.started_at, Float) / 1_000_000).label("duration"),
        jobs.c.exit_code,
        cast(jobs.c.started_at, BigInteger).label("started"),
        cast(jobs.c.ended_at, BigInteger).label("ended"),
    )
    .select_from(jobs)
    .subquery("facts")
)


def _find(uow: UnitOfWork, actor: Actor, ref: str, account: str | None, action: str) -> Entity:
    row = find_job(uow, actor, ref, account=account, action=action)
    return Entity(id=row.id, account_id=row.account_id)


JOB = Kind(
    "job",
    "job",
    _rows,
    {
        **COMMON,
        "__number__": "number",
        "__state__": "text",
        "__reason__": "text",
        "__group__": "text",
        "__image__": "text",
        "__cpu__": "number",
        "__mem__": "number",
        "__gpu__": "number",
        "__duration__": "number",
        "__exit_code__": "number",
        "__started__": "instant",
        "__ended__": "instant",
    },
    _find,
)
"""A job, by its number, id or name. `__cpu__` is in cores, `__mem__` in bytes, `__duration__` in seconds of the run."""
