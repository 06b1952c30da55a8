"""One step along the graph, from many nodes at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from sqlalchemy import Column, Table, bindparam, select

from dais.data import set_children, set_parents, set_versions, sets_holding
from dais.kit.database import Statement, UnitOfWork, in_list
from dais.provenance.lineage.tables import derivation_codes, derivation_inputs, derivation_outputs

Key = tuple[str, str]


class Step(NamedTuple):
    """`source` went into `target`."""

    source: Key
    target: Key
    kind: Literal["input", "output", "part", "upload", "code"]


def _pairs(table: Table, column: Column[str], other: str = "set_version_id") -> Statement:
    return Statement(
        select(table.c.derivation_id, table.c[other])
        .where(in_list(column, "ids"))
        .order_by(table.c.derivation_id, table.c[other])
        .limit(bindparam("limit"))
    )


_inputs_of = _pairs(derivation_inputs, derivation_inputs.c.derivation_id)
_used_by = _pairs(derivation_inputs, derivation_inputs.c.set_version_id)
_outputs_of = _pairs(derivation_outputs, derivation_outputs.c.derivation_id)
_made_by = _pairs(derivation_outputs, derivation_outputs.c.set_version_id)
_code_of = _pairs(derivation_codes, derivation_codes.c.derivation_id, "file_version_id")
_run_by = _pairs(derivation_codes, derivation_codes.c.file_version_id, "file_version_id")


def forward(uow: UnitOfWork, level: Sequence[Key], limit: int) -> tuple[list[Step], bool]:
    """What these went into, and whether that is not all."""
    sets, jobs, files = (_ids(level, kind) for kind in ("fileset", "job", "file"))
    steps: list[Step] = []
    for file in files:
        holding = sets_holding(uow, file, limit)
        steps += (Step(("file", file), ("fileset", one), "part") for one in holding)
    if files:
        run = uow.all(_run_by, ids=files, limit=limit)
        steps += (Step(("file", row.file_version_id), ("job", row.derivation_id), "code") for row in run)
    if sets:
        parts = set_children(uow, sets, limit)
        steps += (Step(("fileset", parent), ("fileset", child), "part") for parent, child in parts)
        used = uow.all(_used_by, ids=sets, limit=limit)
        steps += (Step(("fileset", row.set_version_id), ("job", row.derivation_id), "input") for row in used)
    if jobs:
        made = uow.all(_outputs_of, ids=jobs, limit=limit)
        steps += (Step(("job", row.derivation_id), ("fileset", row.set_version_id), "output") for row in made)
    return steps, len(steps) >= limit


def backward(uow: UnitOfWork, level: Sequence[Key], limit: int) -> tuple[list[Step], bool]:
    """What went into these, and whether that is not all."""
    sets, jobs, files = (_ids(level, kind) for kind in ("fileset", "job", "file"))
    steps: list[Step] = []
    for file in files:
        steps.append(_maker_of_file(uow, file))
    if sets:
        parts = set_parents(uow, sets, limit)
        steps += (Step(("fileset", parent), ("fileset", child), "part") for child, parent in parts)
        made = uow.all(_made_by, ids=sets, limit=limit)
        steps += (Step(("job", row.derivation_id), ("fileset", row.set_version_id), "output") for row in made)
        known = set_versions(uow, sets)
        uploaded = [one for one in sets if one in known and known[one].made_by == "upload"]
        steps += (Step(("upload", one), ("fileset", one), "upload") for one in uploaded)
    if jobs:
        used = uow.all(_inputs_of, ids=jobs, limit=limit)
        steps += (Step(("fileset", row.set_version_id), ("job", row.derivation_id), "input") for row in used)
        code = uow.all(_code_of, ids=jobs, limit=limit)
        steps += (Step(("file", row.file_version_id), ("job", row.derivation_id), "code") for row in code)
    return steps, len(steps) >= limit


def _maker_of_file(uow: UnitOfWork, file: str) -> Step:
    """A version of a file is an upload's, unless the first set that holds it is a job's output."""
    first = sets_holding(uow, file, 1)
    made = uow.all(_made_by, ids=first, limit=1)
    if made:
        return Step(("job", made[0].derivation_id), ("file", file), "output")
    return Step(("upload", file), ("file", file), "upload")


def _ids(level: Iterable[Key], kind: str) -> list[str]:
    return [one for of, one in level if of == kind]
