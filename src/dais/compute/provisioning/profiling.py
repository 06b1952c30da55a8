"""The loop that profiles: it submits runs as ordinary jobs, follows their ends, and fits the model.

A run is submitted in the transaction that writes its job's id, so that a server that dies has submitted it once or not
at all. What came of a job is read from the job, as often as one likes.
"""

from __future__ import annotations

import logging
from collections import Counter

import msgspec
from sqlalchemy import bindparam, select, update

from dais.compute.jobs.submit import submit_job
from dais.compute.jobs.tables import jobs, runs
from dais.compute.provisioning.commands import TOPIC, allocated, end_template
from dais.compute.provisioning.hints import fill_in
from dais.compute.provisioning.model import LEAST_SAMPLES, Sample, fit
from dais.compute.provisioning.queries import hints_of, run_rows_of, spec_of
from dais.compute.provisioning.settings import ProvisioningSettings
from dais.compute.provisioning.tables import template_runs, templates
from dais.compute.settings import ComputeSettings
from dais.identity import Actor, get_user
from dais.kit.clock import SECOND
from dais.kit.database import Database, Event, Row, Statement, UnitOfWork
from dais.kit.errors import DaisError, Forbidden, TooMany, Unavailable
from dais.kit.leases import Lease, LeasedLoop
from dais.wire.notify import NOBODY
from dais.wire.spec import JobSpec

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
HOLD_SECONDS = 60.0
LOW_BID = -1_000
"""Profiling runs come after the jobs that somebody waits for."""
TAG = "dais.template"

_unended = Statement(select(templates.c.id).where(templates.c.ended_at.is_(None)).order_by(templates.c.number))
_template = Statement(select(templates).where(templates.c.id == bindparam("template_id")))
_begun = Statement(
    update(templates)
    .where(templates.c.id == bindparam("template_id"), templates.c.state == "submitted")
    .values(state="profiling")
)
_job = Statement(
    select(
        jobs.c.state,
        jobs.c.reason,
        jobs.c.gpu,
        jobs.c.ended_at,
        runs.c.started_at,
        runs.c.ended_at.label("run_ended_at"),
        runs.c.cpu_micros,
        runs.c.memory_peak,
    )
    .select_from(jobs.outerjoin(runs, (runs.c.job_id == jobs.c.id) & (runs.c.idx == jobs.c.run_index)))
    .where(jobs.c.id == bindparam("job_id"))
)
_run_is = (template_runs.c.template_id == bindparam("run_of")) & (template_runs.c.position == bindparam("place"))
_submitted = Statement(
    update(template_runs)
    .where(_run_is, template_runs.c.stage == "waiting")
    .values(stage="running", job_id=bindparam("job"))
)
_skipped = Statement(
    update(template_runs)
    .where(_run_is, template_runs.c.stage == "waiting")
    .values(stage="skipped", reason=bindparam("why"))
)
_ended = Statement(
    update(template_runs)
    .where(_run_is, template_runs.c.stage == "running")
    .values(
        stage=bindparam("to"),
        reason=bindparam("why"),
        micros=bindparam("took"),
        cpu_micros=bindparam("worked"),
        memory_peak=bindparam("peak"),
        cost=bindparam("costs"),
    )
)


class Profiler:
    """Profiles templates. One process of an installation works at a time."""

    def __init__(self, db: Database, settings: ComputeSettings, prices: ProvisioningSettings) -> None:
        self._db = db
        self._settings = settings
        self._prices = prices
        self.loop = LeasedLoop(db, "provisioning", self._step, topic=TOPIC, interval=LOOK_SECONDS, seconds=HOLD_SECONDS)

    async def step(self) -> int:
        """Look once after every template that is not ready; how many there are."""
        waiting: list[str] = await self._db.read(unended)
        for template_id in waiting:
            for position in await self._db.write(advance, template_id, self._prices):
                try:
                    await self._db.write(submit_run, template_id, position, self._settings)
                except (TooMany, Unavailable) as error:
                    log.info("a profiling run has to wait: %s", error)
                    break
                except DaisError as error:
                    await self._db.write(skip_run, template_id, position, error.message)
        return len(waiting)

    async def _step(self, _lease: Lease) -> None:
        await self.step()


def unended(uow: UnitOfWork) -> list[str]:
    """The templates that are being profiled."""
    return [row.id for row in uow.all(_unended)]


def advance(uow: UnitOfWork, template_id: str, prices: ProvisioningSettings) -> list[int]:
    """Write down what has ended, and fit the model after the last; else the places of runs to submit now."""
    row = uow.one(_template, template_id=template_id)
    if row is None or row.ended_at is not None:
        return []
    for run in run_rows_of(uow, template_id):
        if run.stage == "running":
            _note_end(uow, row, run, prices)
    found = run_rows_of(uow, template_id)
    waiting = [run.position for run in found if run.stage == "waiting"]
    running = sum(run.stage == "running" for run in found)
    spent = sum(run.cost or 0.0 for run in found)
    if row.budget is not None and spent >= row.budget and waiting:
        for position in waiting:
            skip_run(uow, template_id, position, "budget")
        found, waiting = run_rows_of(uow, template_id), []
    if not waiting and not running:
        _finish(uow, row, found)
    return waiting[: max(0, row.parallel - running)]


def submit_run(uow: UnitOfWork, template_id: str, position: int, settings: ComputeSettings) -> None:
    """Submit one profiling run as whoever registered the template. Raises as `submit_job`."""
    row = uow.one(_template, template_id=template_id)
    if row is None or row.ended_at is not None:
        return
    run = next(run for run in run_rows_of(uow, template_id) if run.position == position)
    if run.stage != "waiting":
        return
    job = submit_job(uow, _actor(uow, row), _spec(row, run), settings)
    uow.run(_submitted, run_of=template_id, place=position, job=job.id)
    uow.run(_begun, template_id=template_id)


def skip_run(uow: UnitOfWork, template_id: str, position: int, why: str) -> None:
    """Note that a run will not be made."""
    uow.run(_skipped, run_of=template_id, place=position, why=why)


def _actor(uow: UnitOfWork, row: Row) -> Actor:
    """Who registered it, with what they may do now. Raises Forbidden when they are let in no more."""
    actor = msgspec.json.decode(row.actor, type=Actor)
    user = get_user(uow, actor.id)
    if user.disabled:
        raise Forbidden(f"the user {user.name} is disabled", code="user-disabled")
    return msgspec.structs.replace(actor, administrator=user.administrator and actor.administrator)


def _spec(row: Row, run: Row) -> JobSpec:
    spec = spec_of(row)
    values = msgspec.json.decode(run.parameters, type=tuple[str, ...])
    return msgspec.structs.replace(
        spec,
        command=fill_in(spec.command, values),
        resources=allocated(spec, run.cpu_millis / 1000, run.mem),
        bid=LOW_BID,
        preemptable=False,
        restartable=False,
        max_run_time=row.max_run_time,
        output=None,
        notify=(NOBODY,),
        tags={**spec.tags, TAG: row.name},
    )


def _note_end(uow: UnitOfWork, row: Row, run: Row, prices: ProvisioningSettings) -> None:
    job = uow.one(_job, job_id=run.job_id)
    values: dict[str, object] = {"took": None, "worked": None, "peak": None, "costs": None}
    if job is None:
        uow.run(_ended, run_of=row.id, place=run.position, to="failed", why="the job was removed", **values)
        return
    if job.ended_at is None:
        return
    if job.started_at is not None and job.run_ended_at is not None:
        took = job.run_ended_at - job.started_at
        cost = prices.price(row.group_name).of(run.cpu_millis / 1000, run.mem, job.gpu, took / SECOND)
        values = {"took": took, "worked": job.cpu_micros, "peak": job.memory_peak, "costs": cost}
    good = job.state == "SUCCEEDED" and values["took"] is not None
    why = None if good else job.reason
    uow.run(_ended, run_of=row.id, place=run.position, to="succeeded" if good else "failed", why=why, **values)


def _finish(uow: UnitOfWork, row: Row, found: list[Row]) -> None:
    hints = hints_of(row)
    samples = [
        Sample(
            msgspec.json.decode(run.parameters, type=tuple[str, ...]),
            run.cpu_millis / 1000,
            run.mem,
            run.micros / SECOND,
        )
        for run in found
        if run.stage == "succeeded"
    ]
    if len(samples) < LEAST_SAMPLES:
        reasons = Counter(run.reason or "unknown" for run in found if run.stage != "succeeded")
        why = ", ".join(f"{count}: {reason}" for reason, count in reasons.most_common(3))
        detail = (
            f"{len(samples)} of {len(found)} profiling runs succeeded, and a model needs {LEAST_SAMPLES} "
            f"({why or 'too few were asked for'}); look at one: dais job ls --tag {TAG}={row.name} --state all"
        )
        end_template(uow, row.id, "failed", detail, None)
    else:
        end_template(uow, row.id, "ready", None, msgspec.json.encode(fit(hints, samples)).decode())
    uow.emit(Event("template.ended", "template", row.id, row.account_id, {"name": row.name}))
