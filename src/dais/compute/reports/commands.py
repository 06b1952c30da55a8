"""Taking what a run reports. Nobody's permission is asked: whoever can reach its socket or its file is the run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, insert, select, update

from dais.compute.jobs.tables import job_outputs, jobs, runs
from dais.compute.reports.tables import job_metrics, job_reports
from dais.data import set_versions
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import Invalid, TooMany
from dais.provenance import set_values
from dais.wire.reports import MAX_NAMES, MAX_POINTS, Report

log = logging.getLogger(__name__)

_run = Statement(
    select(runs.c.job_id, runs.c.idx, jobs.c.account_id)
    .select_from(runs.join(jobs, jobs.c.id == runs.c.job_id))
    .where(runs.c.id == bindparam("run_id"))
)
_output = Statement(
    select(job_outputs.c.set_version_id).where(
        job_outputs.c.job_id == bindparam("job_id"), job_outputs.c.run_index == bindparam("run_index")
    )
)
_begin = Statement(insert(job_reports), suffix="ON CONFLICT DO NOTHING")
_of_run = (job_reports.c.job_id == bindparam("of_job")) & (job_reports.c.run_index == bindparam("of_run"))
_held = Statement(select(*job_reports.c).where(_of_run).with_for_update())
_store = Statement(
    update(job_reports)
    .where(_of_run)
    .values(
        {
            name: bindparam(name)
            for name in (
                "file_bytes",
                "points",
                "refused",
                "problem",
                "progress",
                "message",
                "latest",
                "values",
                "tags",
                "updated_at",
            )
        }
    )
)
_point = Statement(
    insert(job_metrics),
    suffix="ON CONFLICT (job_id, run_index, name, step) DO UPDATE SET value = excluded.value, at = excluded.at",
)
_last_steps = Statement(
    select(job_metrics.c.name, func.max(job_metrics.c.step).label("step"))
    .where(job_metrics.c.job_id == bindparam("job_id"), job_metrics.c.run_index == bindparam("run_index"))
    .group_by(job_metrics.c.name)
)
_taken = Statement(
    select(job_reports.c.file_bytes)
    .select_from(
        runs.join(job_reports, (job_reports.c.job_id == runs.c.job_id) & (job_reports.c.run_index == runs.c.idx))
    )
    .where(runs.c.id == bindparam("run_id"))
)
_decode = msgspec.json.decode


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What came of some lines: a sentence for each that was refused."""

    refused: list[str]


def file_taken(uow: UnitOfWork, run_id: str) -> int:
    """How many bytes of a run's file have been taken."""
    return int(uow.scalar(_taken, run_id=run_id) or 0)


def take_reports(
    uow: UnitOfWork,
    run_id: str,
    reports: Sequence[Report],
    *,
    refused: Sequence[str] = (),
    file: tuple[int, int] | None = None,
) -> Taken | None:
    """Keep what a run reports. `refused` are sentences about lines that were not understood.

    `file`: they are what stands in its file from the first of these bytes to the second; None, and nothing is done,
    when that was taken before, or the run is gone.
    """
    run = uow.one(_run, run_id=run_id)
    if run is None:
        return None
    uow.run(_begin, **_nothing(run.job_id, run.idx, uow.now))
    held = uow.one(_held, of_job=run.job_id, of_run=run.idx)
    assert held is not None
    if file is not None and held.file_bytes != file[0]:
        return None
    state = _State(uow, held)
    for report in reports:
        state.take(report)
    uow.many(_point, state.rows)
    _describe(uow, run, state)
    problems = [*refused, *state.refused]
    uow.run(
        _store,
        of_job=run.job_id,
        of_run=run.idx,
        file_bytes=held.file_bytes if file is None else file[1],
        points=state.points,
        refused=held.refused + len(problems),
        problem=held.problem or (problems[0][:500] if problems else ""),
        progress=state.progress,
        message=state.message,
        latest=_text(state.latest),
        values=_text(state.values),
        tags=_text(state.tags),
        updated_at=uow.now,
    )
    return Taken(refused=state.refused)


def describe_output(uow: UnitOfWork, job_id: str, run_index: int, account_id: str, set_version_id: str) -> None:
    """Give a file set that a run made what the run has reported, so that it is found by it."""
    held = uow.one(_held, of_job=job_id, of_run=run_index)
    if held is not None:
        values = {**_decode(held.values), **_decode(held.latest)}
        _set(uow, "fileset", set_version_id, account_id, values, _decode(held.tags))


def _describe(uow: UnitOfWork, run: Row, state: _State) -> None:
    """Keep what changed as key-values and tags of the job, and of what this run has made."""
    if not (state.changed or state.tagged):
        return
    _set(uow, "job", run.job_id, run.account_id, state.changed, state.tagged)
    made = uow.one(_output, job_id=run.job_id, run_index=run.idx)
    if made is not None and made.set_version_id in set_versions(uow, [made.set_version_id]):
        _set(uow, "fileset", made.set_version_id, run.account_id, state.changed, state.tagged)


def _set(
    uow: UnitOfWork, kind: str, entity_id: str, account_id: str, values: Mapping[str, Any], tags: Sequence[str]
) -> None:
    """An entity that is full of what people gave it stays as it is; the metrics are kept all the same."""
    names = [key for key in values if key.lower() != "tags"]
    try:
        set_values(uow, kind, entity_id, account_id, {key: values[key] for key in names}, tags=tags)
    except (Invalid, TooMany) as error:
        log.info("what was reported is no metadata of %s %s: %s", kind, entity_id, error)


class _State:
    """A run's row while reports are added to it."""

    def __init__(self, uow: UnitOfWork, held: Any) -> None:
        self._uow = uow
        self._held = held
        self._steps: dict[str, int] | None = None
        self._points: dict[tuple[str, int], dict[str, Any]] = {}
        self.points: int = held.points
        self.progress: float | None = held.progress
        self.message: str = held.message
        self.latest: dict[str, float] = _decode(held.latest)
        self.values: dict[str, str | bool] = _decode(held.values)
        self.tags: list[str] = _decode(held.tags)
        self.refused: list[str] = []
        self.changed: dict[str, Any] = {}
        self.tagged: tuple[str, ...] = ()

    @property
    def rows(self) -> list[dict[str, Any]]:
        return list(self._points.values())

    def take(self, report: Report) -> None:
        for name, value in report.metrics.items():
            if name not in self.latest and len(self.latest) >= MAX_NAMES:
                self.refused.append(f"{name}: a run has at most {MAX_NAMES} metrics")
                continue
            self.latest[name] = self.changed[name] = value
            if self.points >= MAX_POINTS:
                self.refused.append(f"{name}: of a run at most {MAX_POINTS:,} values are kept; report less often")
                continue
            step = self._next(name) if report.step is None else report.step
            self._note(name, step, value)
        for name, word in report.values.items():
            if name not in self.values and len(self.values) >= MAX_NAMES:
                self.refused.append(f"{name}: a run sets at most {MAX_NAMES} key-values")
                continue
            self.values[name] = self.changed[name] = word
        self.tagged += tuple(tag for tag in report.tags if tag not in self.tags)
        self.tags = list(dict.fromkeys([*self.tags, *report.tags]))[:MAX_NAMES]
        self.progress = self.progress if report.progress is None else report.progress
        self.message = self.message if report.message is None else report.message

    def _note(self, name: str, step: int, value: float) -> None:
        if self._steps is not None:
            self._steps[name] = max(step, self._steps.get(name, -1))
        self.points += 1
        self._points[name, step] = {
            "job_id": self._held.job_id,
            "run_index": self._held.run_index,
            "name": name,
            "step": step,
            "value": value,
            "at": self._uow.now,
        }

    def _next(self, name: str) -> int:
        """The step after the last one."""
        if self._steps is None:
            rows = self._uow.all(_last_steps, job_id=self._held.job_id, run_index=self._held.run_index)
            self._steps = {row.name: row.step for row in rows}
            for known, step in self._points:
                self._steps[known] = max(step, self._steps.get(known, -1))
        return self._steps.get(name, -1) + 1


def _nothing(job_id: str, run_index: int, now: int) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "run_index": run_index,
        "file_bytes": 0,
        "points": 0,
        "refused": 0,
        "problem": "",
        "progress": None,
        "message": "",
        "latest": "{}",
        "values": "{}",
        "tags": "[]",
        "updated_at": now,
    }


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
