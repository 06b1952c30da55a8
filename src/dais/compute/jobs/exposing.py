"""Ports that are open to everybody, for its owner said so; else only who may see the job reaches them."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, insert, select

from dais.compute.jobs.queries import find_job
from dais.compute.jobs.tables import job_exposures
from dais.identity import CHANGED, Actor
from dais.kit.database import Event, Statement, UnitOfWork
from dais.kit.errors import Conflict, Invalid

MOST_PORTS = 100
"""Ports of one job that may be open to everybody."""

_of_job = Statement(
    select(job_exposures.c.port).where(job_exposures.c.job_id == bindparam("job_id")).order_by(job_exposures.c.port)
)
_insert = Statement(insert(job_exposures))
_delete = Statement(
    delete(job_exposures).where(job_exposures.c.job_id == bindparam("id"), job_exposures.c.port == bindparam("number"))
)


def exposed_ports(uow: UnitOfWork, job_id: str) -> list[int]:
    """The job's ports that are open to everybody."""
    return [row.port for row in uow.all(_of_job, job_id=job_id)]


def expose_job(uow: UnitOfWork, actor: Actor, ref: str, port: int, *, public: bool, account: str | None = None) -> str:
    """Open a port of a job to everybody, or close it again; the job's id. It holds for later runs, too.

    Raises NotFound, Forbidden, Invalid `bad-port`, Conflict `too-many-ports`. What is so already stays so.
    """
    row = find_job(uow, actor, ref, account=account, action="job:set")
    if not 0 < port < 1 << 16:
        raise Invalid(f"{port} is no port; there are 1 to 65535", code="bad-port", port=port)
    ports = exposed_ports(uow, row.id)
    job_id: str = row.id
    if public == (port in ports):
        return job_id
    if public and len(ports) >= MOST_PORTS:
        raise Conflict(f"{MOST_PORTS} ports of job {row.id} are open already; close some", code="too-many-ports")
    if public:
        uow.run(_insert, job_id=row.id, port=port, user_id=actor.id, created_at=uow.now)
    else:
        uow.run(_delete, id=row.id, number=port)
    uow.hint(CHANGED)  # who may reach what is remembered by the proxy, as who may do what is elsewhere
    kind = "job.exposed" if public else "job.hidden"
    uow.emit(Event(kind, "job", row.id, row.account_id, {"port": port, "user_id": actor.id}))
    return job_id
