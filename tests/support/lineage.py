"""A graph of file sets, made by hand and by jobs that are told of and never ran."""

from __future__ import annotations

from collections.abc import Sequence

from dais.data import commit_files, create_file_set
from dais.data.hashing import digest_of
from dais.data.lake.reading import get_file
from dais.data.lake.sets import make_set_version
from dais.identity import Actor, resolve_account
from dais.kit.database import UnitOfWork
from dais.provenance import record_derivation
from dais.wire.lake import NewVersion


def upload(uow: UnitOfWork, actor: Actor, name: str, entities: Sequence[str] = ()) -> str:
    """A set of a file of its own, or of `entities`; its version's id."""
    data = name.encode()
    commit_files(uow, actor, None, [NewVersion(path=f"/{name}", digest=digest_of(data), size=len(data))])
    return create_file_set(uow, actor, name, list(entities) or [f"/{name}"]).id


def output(
    uow: UnitOfWork,
    actor: Actor,
    job_id: str,
    name: str,
    inputs: Sequence[str] = (),
    *,
    recorded: bool = True,
    code: str | None = None,
) -> str:
    """A set that a job made of others, with the version of a file as its `code`; its version's id.

    `recorded` is whether that was written down.
    """
    data, path = name.encode(), f"/out/{name}"
    where = resolve_account(uow, actor, None)
    commit_files(uow, actor, None, [NewVersion(path=path, digest=digest_of(data), size=len(data))])
    row = get_file(uow, actor, path)
    made = make_set_version(uow, actor.id, where, name, [row], [], ("job", job_id), always=True)
    if recorded:
        facts = {"command": ["make", name], "number": 7}
        record_derivation(
            uow,
            account_id=where.id,
            job_id=job_id,
            run_index=0,
            facts=facts,
            inputs=inputs,
            outputs=[made.id],
            code=code,
        )
    return made.id
