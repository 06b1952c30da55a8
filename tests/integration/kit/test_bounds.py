"""Reading verbs that may take only so long, on both databases."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import Integer, func, literal, select

from dais.kit.database import Database, Statement, UnitOfWork, within
from dais.kit.database.work import Verb
from dais.kit.errors import Invalid

_numbers = select(literal(1, Integer).label("n")).cte("numbers", recursive=True)
_numbers = _numbers.union_all(select((_numbers.c.n + 1).label("n")).where(_numbers.c.n < 2_000_000_000))
_counting = Statement(select(func.count()).select_from(_numbers))
_one = Statement(select(literal(1, Integer).label("one")))


@within(0.2)
def count_forever(uow: UnitOfWork) -> int:
    return int(uow.scalar(_counting))


@within(0.05)
def ask_again_and_again(uow: UnitOfWork) -> int:
    """Each of its questions is quick."""
    begun = time.monotonic()
    while time.monotonic() - begun < 20:
        uow.scalar(_one)
    return 0


def one(uow: UnitOfWork) -> int:
    return int(uow.scalar(_one))


@pytest.mark.parametrize("verb", [count_forever, ask_again_and_again])
def test_a_verb_ends_when_its_time_is_over(database: Database, verb: Verb) -> None:
    begun = time.monotonic()
    with pytest.raises(Invalid, match="s; add a condition") as told:
        database.read_sync(verb)
    assert told.value.code == "query-too-slow"
    assert time.monotonic() - begun < 10
    assert database.read_sync(one) == 1, "the connection is as good as before"


def test_others_have_all_the_time(database: Database) -> None:
    """What bounded one verb does not bound the next of the same connection."""
    with pytest.raises(Invalid):
        database.read_sync(count_forever)

    def longer(uow: UnitOfWork) -> int:
        begun = time.monotonic()
        while time.monotonic() - begun < 0.3:
            uow.scalar(_one)
        return int(uow.scalar(_one))

    assert database.read_sync(longer) == 1
