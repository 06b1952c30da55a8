"""What a run wrote becomes a file set, in one transaction; and what becomes of it where that cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select, update

from dais.compute.environments.tables import environments
from dais.compute.images.types import Pin
from dais.compute.jobs import lifecycle
from dais.compute.jobs.apply import apply
from dais.compute.jobs.pins import PinnedOutput, Pins, decode_pins
from dais.compute.jobs.queries import find_job
from dais.compute.jobs.tables import job_outputs, jobs, runs
from dais.compute.reports.commands import describe_output
from dais.data import SetVersion, make_output_set
from dais.identity import Actor
from dais.kit.database import Row, Statement, UnitOfWork
from dais.kit.errors import NotFound
from dais.provenance import record_derivation
from dais.wire.lake import NewVersion
from dais.wire.spec import JobSpec

_run = Statement(
    select(
        runs.c.id,
        runs.c.idx,
        runs.c.state,
        runs.c.launched_at,
        runs.c.shipped_at,
        runs.c.partial,
        runs.c.exit_code,
        jobs.c.id.label("job_id"),
        jobs.c.number,
        jobs.c.name,
        jobs.c.account_id,
        jobs.c.owner_id,
        jobs.c.group_name,
        jobs.c.run_index,
        jobs.c.image,
        jobs.c.image_pin,
        jobs.c.spec,
        jobs.c.pins,
        jobs.c.warnings,
        environments.c.key.label("environment_key"),
        job_outputs.c.set_version_id.label("made"),
    )
    .select_from(
        runs.join(jobs, jobs.c.id == runs.c.job_id)
        .outerjoin(environments, environments.c.id == runs.c.environment_id)
        .outerjoin(job_outputs, (job_outputs.c.job_id == runs.c.job_id) & (job_outputs.c.run_index == runs.c.idx))
    )
    .where(runs.c.id == bindparam("run_id"))
)
_insert = Statement(insert(job_outputs))
_warn = Statement(update(jobs).where(jobs.c.id == bindparam("job_id")).values(warnings=bindparam("warnings")))
_set_partial = Statement(update(runs).where(runs.c.id == bindparam("run_id")).values(partial=bindparam("digest")))
_pin = msgspec.json.Decoder(Pin)
_spec = msgspec.json.Decoder(JobSpec)

_partial = Statement(select(runs.c.partial).where(runs.c.job_id == bindparam("job_id"), runs.c.idx == bindparam("idx")))

NOTHING_KEPT = ""
"""A run's `partial` where nothing had been written, or is kept."""


class Sealing(msgspec.Struct, frozen=True, kw_only=True):
    """The output of a run that has ended. `succeeded`: it is the result; else it is kept aside.

    `inputs` (ids of versions of sets) and `source` are what lay in the working directory before.
    """

    run_id: str
    output: PinnedOutput
    inputs: tuple[str, ...]
    source: str | None
    succeeded: bool


def pending_output(uow: UnitOfWork, run_id: str) -> Sealing | None:
    """What is still to be taken of a run that has ended; None when there is nothing, or it was done before."""
    row = uow.one(_run, run_id=run_id)
    if row is None or row.pins is None or row.shipped_at is not None or row.launched_at is None:
        return None
    pins = decode_pins(row.pins)
    output = pins.output
    if output is None or row.made is not None or row.partial is not None:
        return None
    return Sealing(
        run_id=run_id,
        output=output,
        inputs=tuple(one.set_version_id for one in pins.inputs if one.target is None),
        source=_spec.decode(row.spec).source,
        succeeded=row.state == lifecycle.RunState.SUCCEEDED,
    )


def store_output(uow: UnitOfWork, run_id: str, files: Sequence[NewVersion], warnings: Sequence[str]) -> bool:
    """Make the file set of a run that succeeded, of files whose contents are there. False when it was made before.

    Raises Invalid, Conflict: what was written cannot become versions of files.
    """
    row = uow.one(_run, run_id=run_id)
    if row is None or row.made is not None or row.shipped_at is not None:
        return False
    pins = decode_pins(row.pins)
    assert pins.output is not None
    made = make_output_set(uow, row.account_id, row.owner_id, pins.output.fileset, files, ("job", row.job_id))
    uow.run(
        _insert,
        job_id=row.job_id,
        run_index=row.idx,
        set_version_id=made.id,
        name=made.name,
        version=made.version,
        files=made.files,
        size=made.size,
    )
    _derive(uow, row, pins, made)
    describe_output(uow, row.job_id, row.idx, row.account_id, made.id)
    if warnings:
        told = [*msgspec.json.decode(row.warnings, type=list[str]), *warnings]
        uow.run(_warn, job_id=row.job_id, warnings=msgspec.json.encode(told).decode())
    return True


def refuse_output(uow: UnitOfWork, run_id: str, detail: str) -> None:
    """The run's output cannot become a file set: its job has failed."""
    row = uow.one(_run, run_id=run_id)
    if row is not None and row.shipped_at is None and row.idx == row.run_index:
        apply(uow, row.job_id, lifecycle.OutputRefused(detail))


def store_partial(uow: UnitOfWork, run_id: str, digest: str) -> None:
    """Remember what a run that did not succeed had written: the manifest of this digest, or NOTHING_KEPT."""
    uow.run(_set_partial, run_id=run_id, digest=digest)


class Partial(msgspec.Struct, frozen=True):
    """What a run had written that did not succeed: a manifest's digest (None: nothing), and a name for it."""

    digest: str | None
    name: str


def find_partial(
    uow: UnitOfWork, actor: Actor, ref: str, *, account: str | None = None, run: int | None = None
) -> Partial:
    """What is kept aside of a run, by default the latest. `job:logs` is needed, as for what it printed.

    Raises NotFound `no-such-job`, `no-such-run`.
    """
    row = find_job(uow, actor, ref, account=account, action="job:logs")
    index = row.run_index if run is None else run
    found = uow.one(_partial, job_id=row.id, idx=index)
    if found is None and run is not None:
        raise NotFound(f"job {row.number} has no run {run}; `dais job info` lists them", code="no-such-run", run=run)
    return Partial((found and found.partial) or None, f"job_{row.number}_partial")


def _derive(uow: UnitOfWork, row: Row, pins: Pins, made: SetVersion) -> None:
    """Write down what the set was made of, and by what."""
    spec = _spec.decode(row.spec)
    pin = _pin.decode(row.image_pin) if row.image_pin else None
    facts: dict[str, Any] = {
        "number": row.number,
        "name": row.name,
        "command": spec.command,
        "source": spec.source,
        "code": pins.code.name if pins.code else None,
        "code_digest": pins.code.digest if pins.code else None,
        "image": row.image,
        "image_digest": pin.digest if pin else None,
        "environment": row.environment_key,
        "variables": spec.environment,
        "resources": msgspec.to_builtins(spec.resources),
        "group": row.group_name,
    }
    record_derivation(
        uow,
        account_id=row.account_id,
        job_id=row.job_id,
        run_index=row.idx,
        facts={name: value for name, value in facts.items() if value},
        inputs=[one.set_version_id for one in pins.inputs],
        outputs=[made.id],
        code=pins.code.id if pins.code else None,
    )
