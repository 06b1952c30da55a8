"""No output with an unknown parent: looking through the whole graph for one."""

from __future__ import annotations

from sqlalchemy import select

from dais.data import all_set_versions
from dais.identity import user_names
from dais.kit.database import Row, Statement, UnitOfWork, in_list
from dais.provenance.lineage.tables import derivation_inputs, derivation_outputs, derivations
from dais.wire.lineage import MAX_NODES

_makers = Statement(
    select(derivation_outputs.c.set_version_id, derivations.c.job_id)
    .select_from(derivation_outputs.join(derivations, derivations.c.id == derivation_outputs.c.derivation_id))
    .where(in_list(derivation_outputs.c.set_version_id, "ids"))
)
_nameless = Statement(
    select(derivation_inputs.c.set_version_id, derivations.c.job_id)
    .select_from(derivation_inputs.join(derivations, derivations.c.id == derivation_inputs.c.derivation_id))
    .where(derivation_inputs.c.name == "")
    .order_by(derivations.c.id)
    .limit(MAX_NODES)
)


def unknown_parents(uow: UnitOfWork) -> list[str]:
    """Each version of a file set of which it is not known what made it, or of what; as sentences. Whoever asks."""
    found: list[str] = []
    after = ""
    while rows := all_set_versions(uow, after):
        after = rows[-1].id
        found += _without_maker(uow, rows)
    for row in uow.all(_nameless):
        found.append(f"the job {row.job_id} was given a file set {row.set_version_id}, of which nothing is known")
    return found


def _without_maker(uow: UnitOfWork, rows: list[Row]) -> list[str]:
    by_job = {row.id: row for row in rows if row.made_by == "job"}
    by_user = [row for row in rows if row.made_by == "upload"]
    people = user_names(uow, {row.made_by_id for row in by_user})
    found = [f"{row.name}:{row.version} was uploaded by nobody" for row in by_user if row.made_by_id not in people]
    made = {(row.set_version_id, row.job_id) for row in uow.all(_makers, ids=list(by_job))} if by_job else set()
    found += [
        f"{row.name}:{row.version} was made by the job {row.made_by_id}, of which is not written down what it made"
        for row in by_job.values()
        if (row.id, row.made_by_id) not in made
    ]
    return found + [
        f"{row.name}:{row.version} was made by {row.made_by!r}, which is nothing that makes file sets"
        for row in rows
        if row.made_by not in ("job", "upload")
    ]
