"""Statements find rows by their indexes, however many rows there are."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import and_, not_, or_, select

from dais.compute.jobs import apply, queries, records, runs
from dais.compute.jobs.tables import jobs
from dais.compute.notify import outbox
from dais.kit.database import Database, Statement, in_list
from tests.support.database import create_tables

BY_IDS = {
    "a job's life": apply._select,
    "the latest runs of jobs": queries._latest_runs,
    "runs with their jobs": runs._select,
    "all that a launch needs": records._by_ids,
    "who is told of an end": outbox._jobs,
}


@pytest.mark.parametrize("what", list(BY_IDS))
def test_a_list_of_ids_is_looked_up_and_not_scanned_for(tmp_path: Path, what: str) -> None:
    create_tables(f"sqlite:///{tmp_path}/dais.db")
    sql = BY_IDS[what].compiled("sqlite").sql
    with sqlite3.connect(tmp_path / "dais.db") as connection:
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", ["[]"] * sql.count("?"))]
    connection.close()
    assert not [step for step in steps if re.match(r"SCAN (jobs|runs)\b", step)], steps


def test_a_list_stands_in_any_condition(database: Database) -> None:
    one = in_list(jobs.c.id, "ids")
    for condition in (one, not_(one), and_(one, jobs.c.gpu == 0), or_(not_(one), jobs.c.gpu == 0)):
        statement = Statement(select(jobs.c.id).where(condition))
        assert database.read_sync(lambda uow, asked=statement: uow.all(asked, ids=["a", "b"])) == []
    assert "= 1" not in Statement(select(jobs.c.id).where(one, jobs.c.gpu > 0)).compiled("sqlite").sql
