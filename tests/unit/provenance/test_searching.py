"""Statements that find entities, as they are written for each database."""

from __future__ import annotations

import pytest

from dais.provenance import FILESET
from dais.provenance.meta.searching import ORDER, Plan, statement
from dais.provenance.meta.values import TEXT

GATHERING = Plan(FILESET, (("value", "=", TEXT),), frozenset(), 0, ("key", 0), True, False, None)


@pytest.mark.parametrize("seen", [frozenset(), frozenset({""})])
def test_what_must_be_sorted_is_gathered_before_the_limit_counts(seen: frozenset[str]) -> None:
    plan = GATHERING._replace(seen=seen)
    assert "WITH gathered AS MATERIALIZED" in statement(plan).compiled("postgresql").sql
    for walking in (plan._replace(driver=ORDER), plan._replace(way=("newest",)), plan._replace(driver=None)):
        assert "WITH" not in statement(walking).compiled("postgresql").sql
