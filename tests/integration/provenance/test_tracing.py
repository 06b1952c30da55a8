"""Lineage is followed both ways, as far as who asks may see."""

from __future__ import annotations

from typing import Any

import pytest

from dais.data import get_file, remove_file, remove_file_set
from dais.identity import Actor, create_policy, resolve_account
from dais.kit.database import Database
from dais.kit.errors import Forbidden, Invalid, NotFound
from dais.kit.ids import new_id
from dais.provenance import trace_backward, trace_forward, trace_job, unknown_parents
from dais.wire.lineage import Trace
from tests.support.lineage import output, upload
from tests.support.people import People


class Graph:
    """Makes sets by hand and by jobs."""

    def __init__(self, database: Database) -> None:
        self.db = database
        self.people = People(database)
        self.ann = self.people.root
        self.account = database.read_sync(resolve_account, self.ann, None)

    def upload(self, name: str, *entities: str) -> str:
        return str(self.db.write_sync(upload, self.ann, name, entities))

    def job(self, made: str, *inputs: str, recorded: bool = True, code: str | None = None) -> tuple[str, str]:
        """A job that made a set of others: its id, and the set's version's."""
        job_id = new_id()
        return job_id, str(self.db.write_sync(output, self.ann, job_id, made, inputs, recorded=recorded, code=code))

    def trace(self, verb: Any, ref: str, actor: Actor | None = None, **how: Any) -> Trace:
        found: Trace = self.db.read_sync(verb, actor or self.ann, ref, account=self.account.id, **how)
        return found


@pytest.fixture
def graph(database: Database) -> Graph:
    return Graph(database)


def names(found: Trace) -> list[str]:
    return [f"{one.depth} {one.kind} {'?' if one.hidden else one.name}" for one in found.nodes]


def told(found: Trace) -> set[tuple[str, str, str]]:
    """The edges, by what they join."""
    called = {one.id: "?" if one.hidden else f"{one.kind} {one.name}" for one in found.nodes}
    return {(called[edge.source], edge.kind, called[edge.target]) for edge in found.edges}


def test_both_ways_through_jobs_sets_of_sets_and_uploads(graph: Graph) -> None:
    texts = graph.upload("texts")
    both = graph.upload("both", "@texts")
    _, model = graph.job("model", both)
    graph.job("report", model, texts)
    found = graph.trace(trace_backward, "model")
    assert names(found) == [
        "0 fileset model:1",
        "1 job #7",
        "2 fileset both:1",
        "3 fileset texts:1",
        "3 upload root",
        "4 upload root",
    ]
    assert told(found) == {
        ("job #7", "output", "fileset model:1"),
        ("fileset both:1", "input", "job #7"),
        ("fileset texts:1", "part", "fileset both:1"),
        ("upload root", "upload", "fileset both:1"),
        ("upload root", "upload", "fileset texts:1"),
    }
    assert not found.truncated
    came = graph.trace(trace_forward, "texts:1")
    assert sorted(names(came)) == [
        "0 fileset texts:1",
        "1 fileset both:1",
        "1 job #7",
        "2 fileset report:1",
        "2 job #7",
        "3 fileset model:1",
    ]
    assert ("fileset model:1", "input", "job #7") in told(came)


def test_files_and_jobs_are_traced_as_well(graph: Graph) -> None:
    texts = graph.upload("texts")
    job, _ = graph.job("model", texts)
    assert names(graph.trace(trace_forward, "/texts")) == [
        "0 file /texts:1",
        "1 fileset texts:1",
        "2 job #7",
        "3 fileset model:1",
    ]
    assert names(graph.trace(trace_backward, "/out/model:1"))[:3] == [
        "0 file /out/model:1",
        "1 job #7",
        "2 fileset texts:1",
    ]
    assert names(graph.trace(trace_backward, "/texts")) == ["0 file /texts:1", "1 upload root"]
    found: Trace = graph.db.read_sync(trace_job, graph.ann, job, "backward")
    assert names(found) == ["0 job #7", "1 fileset texts:1", "2 upload root"]
    assert found.nodes[0].facts["command"] == ["make", "model"]
    assert graph.db.read_sync(trace_job, graph.ann, new_id(), "backward").nodes == []


def test_code_is_a_part_of_the_graph(graph: Graph) -> None:
    graph.upload("code.zip")
    code = graph.db.read_sync(get_file, graph.ann, "/code.zip").id
    texts = graph.upload("texts")
    graph.job("model", texts, code=code)
    graph.job("report", texts, code=code)
    back = graph.trace(trace_backward, "model")
    assert ("file /code.zip:1", "code", "job #7") in told(back)
    assert ("upload root", "upload", "file /code.zip:1") in told(back)
    came = graph.trace(trace_forward, "/code.zip")
    assert {one.name for one in came.nodes if one.kind == "fileset"} == {"code.zip:1", "model:1", "report:1"}
    eve = graph.people.user("eve")
    where = f"{graph.account.organization_id}:account:{graph.account.id}"
    rules = [f"account:get@{where}", f"fileset:get@{where}:fileset:*", f"job:get@{where}:job:*"]
    graph.db.write_sync(create_policy, graph.ann, "user", eve.id, rules)
    hidden = graph.trace(trace_backward, "model", eve)
    assert ("?", "code", "job #7") in told(hidden)
    graph.db.write_sync(remove_file_set, graph.ann, "code.zip")
    graph.db.write_sync(remove_file, graph.ann, "/code.zip")
    (gone,) = [one for one in graph.trace(trace_backward, "model").nodes if one.kind == "file"]
    assert (gone.name, gone.removed) == ("/code.zip:1", True)
    (gone,) = [one for one in graph.trace(trace_backward, "model", eve).nodes if one.kind == "file"]
    assert (gone.name, gone.hidden) == ("", True)


def test_depth_and_number_of_parts_are_bounded(graph: Graph) -> None:
    before = graph.upload("s0")
    for number in range(1, 6):
        _, before = graph.job(f"s{number}", before)
    shallow = graph.trace(trace_backward, "s5", depth=2)
    assert names(shallow) == ["0 fileset s5:1", "1 job #7", "2 fileset s4:1"]
    assert shallow.truncated
    few = graph.trace(trace_backward, "s5", limit=4)
    assert (len(few.nodes), few.truncated) == (4, True)
    whole = graph.trace(trace_backward, "s5", depth=11)
    assert (len(whole.nodes), whole.truncated) == (12, False)
    for wrong in ({"depth": 0}, {"depth": 101}, {"limit": 0}, {"limit": 2_001}):
        with pytest.raises(Invalid):
            graph.trace(trace_backward, "s5", None, **wrong)


def test_what_may_not_be_seen_is_there_without_its_name(graph: Graph) -> None:
    texts = graph.upload("secret")
    job, model = graph.job("model", texts)
    graph.job("report", model)
    eve = graph.people.user("eve")
    with pytest.raises((Forbidden, NotFound)):
        graph.trace(trace_backward, "report", eve)
    account = graph.account
    where = f"{account.organization_id}:account:{account.id}"
    graph.db.write_sync(
        create_policy,
        graph.ann,
        "user",
        eve.id,
        [f"account:get@{where}", f"fileset:get@{where}:fileset:report", f"fileset:get@{where}:fileset:model"],
    )
    found = graph.trace(trace_backward, "report", eve)
    assert names(found) == ["0 fileset report:1", "1 job ?", "2 fileset model:1", "3 job ?", "4 fileset ?"]
    text = repr(found)
    for secret in ("secret", job, texts, "make"):
        assert secret not in text


def test_a_version_that_was_removed_keeps_its_place(graph: Graph) -> None:
    texts = graph.upload("texts")
    _, model = graph.job("model", texts)
    graph.job("report", model)
    graph.db.write_sync(remove_file_set, graph.ann, "model")
    found = graph.trace(trace_backward, "report")
    assert names(found) == [
        "0 fileset report:1",
        "1 job #7",
        "2 fileset model:1",
        "3 job #7",
        "4 fileset texts:1",
        "5 upload root",
    ]
    assert [one.name for one in found.nodes if one.removed] == ["model:1"]
    assert graph.db.read_sync(unknown_parents) == []


def test_an_output_of_which_nothing_was_written_down_is_found(graph: Graph) -> None:
    graph.job("model", graph.upload("texts"))
    assert graph.db.read_sync(unknown_parents) == []
    job, _ = graph.job("orphan", recorded=False)
    graph.job("odd", new_id())
    wrong = graph.db.read_sync(unknown_parents)
    assert len(wrong) == 2
    assert "orphan:1 was made by the job" in wrong[0]
    assert job in wrong[0]
    assert "of which nothing is known" in wrong[1]
