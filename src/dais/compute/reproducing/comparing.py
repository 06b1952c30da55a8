"""Whether the same came of a job that ran again."""

from __future__ import annotations

import math

import msgspec
from sqlalchemy import bindparam, select

from dais.compute.environments.tables import environments
from dais.compute.jobs.lifecycle import FINAL
from dais.compute.jobs.queries import find_job
from dais.compute.jobs.tables import job_outputs, runs
from dais.compute.reports.queries import latest_metrics
from dais.compute.reproducing.tables import reproductions
from dais.data import set_files, set_versions
from dais.identity import Actor, require
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Conflict
from dais.wire.reproduction import MOST_DIFFERENCES, FileDifference, MetricDifference, Reproduction, Verdict

_columns = (
    reproductions.c.job_id,
    reproductions.c.of_job,
    reproductions.c.of_run,
    reproductions.c.tolerance,
    reproductions.c.notes,
)
_by_job = Statement(select(*_columns).where(reproductions.c.job_id == bindparam("job_id")))
_of_job = Statement(
    select(reproductions.c.job_id)
    .where(reproductions.c.of_job == bindparam("of_job"))
    .order_by(reproductions.c.created_at.desc(), reproductions.c.job_id.desc())
    .limit(bindparam("limit"))
)
_output = Statement(
    select(job_outputs.c.set_version_id, job_outputs.c.name, job_outputs.c.version).where(
        job_outputs.c.job_id == bindparam("job_id"), job_outputs.c.run_index == bindparam("run_index")
    )
)
_environment = Statement(
    select(environments.c.key)
    .select_from(runs.join(environments, environments.c.id == runs.c.environment_id))
    .where(runs.c.job_id == bindparam("job_id"), runs.c.idx == bindparam("run_index"))
)
_words = msgspec.json.Decoder(list[str])

Output = dict[str, tuple[str, bool]]
"""Contents' digests and whether they are executable, by path."""


def get_reproduction(
    uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None, tolerance: float | None = None
) -> Reproduction:
    """How a job that reproduces another compares with it; `tolerance` is the one it was made with, unless given.

    Raises NotFound `no-such-job`, Conflict `no-reproduction`, Forbidden: both jobs and both outputs must be seen.
    """
    job = find_job(uow, actor, ref, account=account)
    row = uow.one(_by_job, job_id=job.id)
    if row is None:
        raise Conflict(
            f"job {job.number} reproduces no other; `dais reproduce {job.number}` runs it again",
            code="no-reproduction",
            job=job.id,
        )
    first = find_job(uow, actor, row.of_job)
    within = row.tolerance if tolerance is None else tolerance
    made = Reproduction(
        job_id=job.id,
        number=job.number,
        state=job.state,
        of_id=first.id,
        of_number=first.number,
        of_run=row.of_run,
        tolerance=within,
        verdict="pending" if job.state not in FINAL else "failed",
        notes=_words.decode(row.notes),
    )
    return _compared(uow, actor, made, first, job) if job.state == "SUCCEEDED" else made


def reproductions_of(uow: UnitOfWork, job_id: str, limit: int = 20) -> list[str]:
    """The ids of the jobs that ran this one again, the newest first."""
    return [row.job_id for row in uow.all(_of_job, of_job=job_id, limit=limit)]


def reproduces(uow: UnitOfWork, job_id: str) -> str | None:
    """The id of the job that this one runs again."""
    row = uow.one(_by_job, job_id=job_id)
    return None if row is None else str(row.of_job)


def _compared(uow: UnitOfWork, actor: Actor, made: Reproduction, first: Row, job: Row) -> Reproduction:
    notes = list(made.notes)
    before = _files(uow, actor, first, made.of_run, notes)
    after = _files(uow, actor, job, job.run_index, notes)
    same, different = _differences(before or {}, after or {})
    metrics = _metrics(
        latest_metrics(uow, first.id, made.of_run), latest_metrics(uow, job.id, job.run_index), made.tolerance
    )
    if _key(uow, first.id, made.of_run) != _key(uow, job.id, job.run_index):
        notes.append("the environment was built anew, and what is in it may have changed")
    return msgspec.structs.replace(
        made,
        verdict=_verdict(before, after, different, metrics),
        same_files=same,
        different_files=len(different),
        files=different[:MOST_DIFFERENCES],
        metrics=metrics,
        notes=notes,
    )


def _verdict(
    before: Output | None, after: Output | None, different: list[FileDifference], metrics: list[MetricDifference]
) -> Verdict:
    if not before and not metrics:
        return "nothing"
    if before and after is not None and not different:
        return "equal"
    return "close" if metrics and all(one.within for one in metrics) else "differs"


def _files(uow: UnitOfWork, actor: Actor, job: Row, run_index: int, notes: list[str]) -> Output | None:
    """What a run made; None where it made nothing, or that was removed. Raises Forbidden."""
    row = uow.one(_output, job_id=job.id, run_index=run_index)
    if row is None:
        return None
    require(uow, actor, "fileset:get", account_id=job.account_id, resource_id=row.name)
    if row.set_version_id not in set_versions(uow, [row.set_version_id]):
        notes.append(f"the output {row.name}:{row.version} of job {job.number} was removed")
        return None
    return {file.path: (file.digest, file.executable) for file in set_files(uow, row.set_version_id)}


def _differences(before: Output, after: Output) -> tuple[int, list[FileDifference]]:
    different = [
        FileDifference(path=path, before=before.get(path, (None,))[0], after=after.get(path, (None,))[0])
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]
    return sum(after.get(path) == found for path, found in before.items()), different


def _metrics(before: dict[str, float], after: dict[str, float], tolerance: float) -> list[MetricDifference]:
    return [
        MetricDifference(
            name=name,
            before=value,
            after=after.get(name),
            within=name in after and math.isclose(value, after[name], rel_tol=tolerance, abs_tol=tolerance),
        )
        for name, value in sorted(before.items())
    ]


def _key(uow: UnitOfWork, job_id: str, run_index: int) -> str | None:
    row = uow.one(_environment, job_id=job_id, run_index=run_index)
    return None if row is None else str(row.key)
