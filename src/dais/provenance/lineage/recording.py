"""Writing down what a run made, in the transaction that makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, select

from dais.data import file_versions_by_id, set_versions
from dais.kit.database import Event, Row, Statement, UnitOfWork
from dais.kit.ids import new_id
from dais.provenance.lineage.tables import derivation_codes, derivation_inputs, derivation_outputs, derivations

_insert = Statement(insert(derivations), suffix="ON CONFLICT DO NOTHING")
_insert_input = Statement(insert(derivation_inputs), suffix="ON CONFLICT DO NOTHING")
_insert_output = Statement(insert(derivation_outputs), suffix="ON CONFLICT DO NOTHING")
_insert_code = Statement(insert(derivation_codes), suffix="ON CONFLICT DO NOTHING")
_of_run = Statement(
    select(derivations.c.id).where(
        derivations.c.job_id == bindparam("job_id"), derivations.c.run_index == bindparam("run_index")
    )
)


def record_derivation(
    uow: UnitOfWork,
    *,
    account_id: str,
    job_id: str,
    run_index: int,
    facts: Mapping[str, Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
    code: str | None = None,
) -> str:
    """Write down that a run of a job made file sets of others; the derivation's id. Asks for no permission.

    `inputs` and `outputs` are ids of versions of file sets, `code` is that of a file; `facts` tell what ran. Told once
    more for the same run it adds what it did not know yet and changes nothing else. An input that is gone is kept
    without its name.
    Raises ValueError for an output that is not there.
    """
    known = set_versions(uow, {*inputs, *outputs})
    unknown = [one for one in outputs if one not in known]
    if unknown:
        raise ValueError(f"there is no version of a file set {unknown[0]}, which run {run_index} of {job_id} made")
    written = uow.run(
        _insert,
        id=new_id(),
        job_id=job_id,
        run_index=run_index,
        account_id=account_id,
        facts=msgspec.json.encode(facts).decode(),
        made_at=uow.now,
    )
    row = uow.one(_of_run, job_id=job_id, run_index=run_index)
    assert row is not None
    uow.many(_insert_input, (_end(row.id, one, known.get(one)) for one in dict.fromkeys(inputs)))
    uow.many(_insert_output, (_end(row.id, one, known.get(one)) for one in dict.fromkeys(outputs)))
    if code is not None and (file := file_versions_by_id(uow, [code]).get(code)) is not None:
        uow.run(
            _insert_code,
            derivation_id=row.id,
            file_version_id=code,
            account_id=file.account_id,
            path=file.path,
            version=file.version,
        )
    if written:
        uow.emit(Event("derivation.new", "job", job_id, account_id, {"run": run_index, "outputs": len(outputs)}))
    return str(row.id)


def _end(derivation_id: str, set_version_id: str, row: Row | None) -> dict[str, Any]:
    """One end of a derivation, with the name that the set has now."""
    return {
        "derivation_id": derivation_id,
        "set_version_id": set_version_id,
        "account_id": row.account_id if row is not None else "",
        "name": row.name if row is not None else "",
        "version": row.version if row is not None else 0,
    }
