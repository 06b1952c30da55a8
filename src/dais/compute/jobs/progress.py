"""How far a job's data is on its way, and what of the data lake it has: for who looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, select, update

from dais.compute.jobs.pins import decode_pins
from dais.compute.jobs.tables import job_outputs, jobs, runs
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.wire import answers

DOWNLOADING, UPLOADING = "downloading", "uploading"
_SHOWN_IN = {DOWNLOADING: ("SCHEDULED", "PREPARING"), UPLOADING: ("FINISHING",)}
"""The states of a job in which its latest run's phase is its own."""

_set = Statement(
    update(runs)
    .where(runs.c.id == bindparam("run_id"))
    .values({name: bindparam(name) for name in ("phase", "phase_done", "phase_total", "phase_at")})
)
_of_run = Statement(
    select(runs.c.job_id, runs.c.idx, runs.c.ended_at, jobs.c.account_id, jobs.c.run_index)
    .select_from(runs.join(jobs, jobs.c.id == runs.c.job_id))
    .where(runs.c.id == bindparam("run_id"))
)
_outputs = Statement(
    select(job_outputs).where(job_outputs.c.job_id == bindparam("job_id")).order_by(job_outputs.c.run_index)
)


def note_progress(uow: UnitOfWork, run_id: str, phase: str, done: int, total: int) -> bool:
    """Write down how far a run's data is on its way, in bytes, and tell who follows. False: nobody waits for it."""
    row = uow.one(_of_run, run_id=run_id)
    if row is None or (phase == DOWNLOADING and row.ended_at is not None):
        return False
    uow.run(_set, run_id=run_id, phase=phase, phase_done=done, phase_total=total, phase_at=uow.now)
    if row.idx == row.run_index:
        told = {"phase": phase, "done": done, "total": total}
        uow.emit(Event("job.progress", "job", row.job_id, row.account_id, told))
    return True


def phase_of(row: Row, run: Row | None) -> dict[str, Any]:
    """The fields of an answer that tell what moves now."""
    if run is None or run.phase is None or row.state not in _SHOWN_IN[run.phase]:
        return {}
    return {"phase": run.phase, "phase_done": run.phase_done, "phase_total": run.phase_total}


def data_of(uow: UnitOfWork, row: Row, its_runs: Sequence[Row]) -> dict[str, Any]:
    """The fields of an answer that tell what a job reads and makes."""
    if row.pins is None:
        return {}
    pins = decode_pins(row.pins)
    outputs = uow.all(_outputs, job_id=row.id) if pins.output is not None else []
    return {
        "inputs": [
            answers.InputSet(
                id=one.set_version_id,
                fileset=f"{one.name}:{one.version}",
                target=one.target,
                files=one.files,
                size=one.size,
            )
            for one in pins.inputs
        ],
        "output_fileset": pins.output.fileset if pins.output is not None else None,
        "outputs": [
            answers.OutputSet(
                id=one.set_version_id,
                fileset=f"{one.name}:{one.version}",
                run=one.run_index,
                files=one.files,
                size=one.size,
            )
            for one in outputs
        ],
        "has_partial": bool(its_runs) and bool(its_runs[-1].partial),
    }
