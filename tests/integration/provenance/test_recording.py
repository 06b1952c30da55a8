"""What a run made is written down once, with the names of what it was made of."""

from __future__ import annotations

import pytest

from dais.data import create_file_set, remove_file_set
from dais.data.hashing import digest_of
from dais.data.lake.files import commit_files
from dais.identity import Actor
from dais.kit.database import Database
from dais.kit.ids import new_id
from dais.provenance import record_derivation
from dais.provenance.lineage.tables import derivation_inputs, derivation_outputs, derivations
from dais.wire.lake import NewVersion
from tests.support.people import People
from tests.support.tables import rows

FACTS = {"command": ["python", "train.py"], "source": "blake3:00", "resources": {"cpu": 1}}


@pytest.fixture
def ann(database: Database) -> Actor:
    return People(database).root


def made(database: Database, actor: Actor, name: str, content: str) -> str:
    """A file set of one file; the id of its version."""
    data = content.encode()
    new = NewVersion(path=f"/{name}", digest=digest_of(data), size=len(data))
    database.write_sync(commit_files, actor, None, [new])
    return str(database.write_sync(create_file_set, actor, name, [f"/{name}"]).id)


def record(database: Database, job: str, inputs: list[str], outputs: list[str], run: int = 0) -> str:
    account = new_id()
    found: str = database.write_sync(
        record_derivation, account_id=account, job_id=job, run_index=run, facts=FACTS, inputs=inputs, outputs=outputs
    )
    return found


def test_a_run_is_written_down_once_and_with_names(database: Database, ann: Actor) -> None:
    texts, model, job = made(database, ann, "texts", "a"), made(database, ann, "model", "b"), new_id()
    first = record(database, job, [texts], [model])
    assert record(database, job, [texts, texts], [model]) == first
    assert record(database, job, [texts], [model], run=1) != first
    assert len(rows(database, derivations)) == 2
    assert {(one.name, one.version) for one in rows(database, derivation_inputs)} == {("texts", 1)}
    assert {(one.name, one.version) for one in rows(database, derivation_outputs)} == {("model", 1)}


def test_told_again_it_adds_what_it_did_not_know(database: Database, ann: Actor) -> None:
    job, model, report = new_id(), made(database, ann, "model", "b"), made(database, ann, "report", "c")
    record(database, job, [], [model])
    record(database, job, [], [report])
    assert {one.name for one in rows(database, derivation_outputs)} == {"model", "report"}


def test_an_input_that_was_removed_keeps_its_name_and_an_output_must_be_there(database: Database, ann: Actor) -> None:
    texts, model, job = made(database, ann, "texts", "a"), made(database, ann, "model", "b"), new_id()
    record(database, job, [texts], [model])
    database.write_sync(remove_file_set, ann, "texts")
    assert [one.name for one in rows(database, derivation_inputs)] == ["texts"]
    record(database, new_id(), [texts], [model])
    assert sorted(one.name for one in rows(database, derivation_inputs)) == ["", "texts"]
    with pytest.raises(ValueError, match="no version of a file set"):
        record(database, new_id(), [], [new_id()])
