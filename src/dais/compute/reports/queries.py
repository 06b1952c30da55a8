"""What a job has reported, for people."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, func, select

from dais.compute.jobs.queries import find_job
from dais.compute.reports.tables import job_metrics, job_reports
from dais.identity import Actor
from dais.kit.clock import to_rfc3339
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Invalid
from dais.wire.reports import DEFAULT_POINTS, MOST_POINTS, JobReport, Series

_of_run = (job_metrics.c.job_id == bindparam("job_id"), job_metrics.c.run_index == bindparam("run_index"))
_report = Statement(
    select(*job_reports.c).where(
        job_reports.c.job_id == bindparam("job_id"), job_reports.c.run_index == bindparam("run_index")
    )
)
_sums = Statement(
    select(
        job_metrics.c.name,
        func.count().label("count"),
        func.min(job_metrics.c.value).label("least"),
        func.max(job_metrics.c.value).label("most"),
    )
    .where(*_of_run)
    .group_by(job_metrics.c.name)
    .order_by(job_metrics.c.name)
)
_place = func.row_number().over(order_by=job_metrics.c.step).label("place")
_numbered = select(job_metrics.c.step, job_metrics.c.value, job_metrics.c.at, _place).where(
    *_of_run, job_metrics.c.name == bindparam("name")
)
_thinned = _numbered.subquery()
_points = Statement(
    select(_thinned.c.step, _thinned.c.value, _thinned.c.at)
    .where(((_thinned.c.place - 1) % bindparam("every") == 0) | (_thinned.c.place == bindparam("count")))
    .order_by(_thinned.c.step)
)


def get_report(
    uow: UnitOfWork,
    actor: Actor,
    ref: str,
    *,
    account: str | None = None,
    run: int | None = None,
    names: Sequence[str] = (),
    points: int = DEFAULT_POINTS,
) -> JobReport:
    """What a run of a job has reported: the latest run, all metrics, at most so many points of each, unless asked.

    Raises NotFound `no-such-job`, Forbidden (`job:get`), Invalid.
    """
    if not 0 <= points <= MOST_POINTS:
        raise Invalid(f"points {points} is not between 0 and {MOST_POINTS:,}", code="bad-points", value=points)
    job = find_job(uow, actor, ref, account=account)
    index = job.run_index if run is None else run
    return report_of(uow, job.id, index, names=names, points=points)


def report_of(
    uow: UnitOfWork, job_id: str, run_index: int, *, names: Sequence[str] = (), points: int = DEFAULT_POINTS
) -> JobReport:
    """The same for a job that the asker may see."""
    row = uow.one(_report, job_id=job_id, run_index=run_index)
    if row is None:
        return JobReport(job_id=job_id, run=run_index, series=[])
    latest: dict[str, float] = msgspec.json.decode(row.latest)
    sums = {one.name: one for one in uow.all(_sums, job_id=job_id, run_index=run_index)}
    wanted = [name for name in sorted(latest) if not names or name in names]
    return JobReport(
        job_id=job_id,
        run=run_index,
        series=[_series(uow, row, name, latest[name], sums.get(name), points) for name in wanted],
        progress=row.progress,
        message=row.message,
        refused=row.refused,
        problem=row.problem,
        updated_at=to_rfc3339(row.updated_at),
    )


def latest_metrics(uow: UnitOfWork, job_id: str, run_index: int) -> dict[str, float]:
    """The newest value of each metric that a run has reported."""
    row = uow.one(_report, job_id=job_id, run_index=run_index)
    found: dict[str, float] = msgspec.json.decode(row.latest) if row is not None else {}
    return found


def _series(uow: UnitOfWork, row: Row, name: str, last: float, sums: Row | None, points: int) -> Series:
    if sums is None:  # no room was left for its values
        return Series(name=name, count=0, last=last, least=last, most=last)
    found: list[Row] = []
    if points:
        every = max(1, -(-sums.count // points))
        found = uow.all(_points, job_id=row.job_id, run_index=row.run_index, name=name, every=every, count=sums.count)
    return Series(
        name=name,
        count=sums.count,
        last=last,
        least=sums.least,
        most=sums.most,
        steps=[point.step for point in found],
        values=[point.value for point in found],
        at=[to_rfc3339(point.at) for point in found],
    )
