"""PostgreSQL: glances that wait share a snapshot, and a writer begins when the one before it commits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from dais.kit.clock import ManualClock
from dais.kit.database import Statement, UnitOfWork
from dais.kit.database.batch import Turn
from dais.kit.database.postgres import GLANCERS, MOST_GLANCES, PostgresDatabase
from dais.kit.errors import NotFound

pytestmark = pytest.mark.anyio

PATIENCE = 20.0

_began = Statement(text("SELECT pg_backend_pid() || ' ' || now()"))
_backend = Statement(text("SELECT pg_backend_pid()"))
_broken = Statement(text("SELECT 1 / 0"))


@pytest.fixture
def database(postgres_cluster: Any) -> Iterator[PostgresDatabase]:
    with postgres_cluster.database() as url:
        made = PostgresDatabase(url, ManualClock())
        yield made
        made.close()


def transaction(uow: UnitOfWork) -> str:
    """Which transaction this is in: its connection, and when it began."""
    return str(uow.scalar(_began))


def refuse(_: UnitOfWork) -> None:
    raise NotFound("there is no such thing", code="no-such-thing")


def broken(uow: UnitOfWork) -> None:
    uow.scalar(_broken)


async def waiting(database: PostgresDatabase, verbs: list[Any]) -> list[Any]:
    """Glance at all of them: they are asked for while every glancer is held up."""
    held, go = threading.Semaphore(0), threading.Event()

    def hold(_: UnitOfWork) -> None:
        held.release()
        assert go.wait(PATIENCE)

    holding = []
    for _ in range(GLANCERS):
        holding.append(asyncio.ensure_future(database.glance(hold)))
        await asyncio.sleep(0)  # it is queued
        assert await asyncio.to_thread(held.acquire, timeout=PATIENCE)
    asked = [asyncio.ensure_future(database.glance(verb)) for verb in verbs]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*holding)
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_glances_that_wait_share_a_snapshot(database: PostgresDatabase) -> None:
    seen = await waiting(database, [transaction] * 2 * MOST_GLANCES)
    assert len(set(seen)) == 2, "no more of them than may"


async def test_a_glance_fails_alone(database: PostgresDatabase) -> None:
    before, refused, after = await waiting(database, [transaction, refuse, transaction])
    assert isinstance(refused, NotFound)
    assert before == after


async def test_others_are_answered_when_the_database_fails_one(database: PostgresDatabase) -> None:
    before, failed, after = await waiting(database, [transaction, broken, transaction])
    assert isinstance(failed, Exception)
    assert isinstance(before, str)
    assert isinstance(after, str)
    assert before != after, "each was asked again, alone"


async def test_a_turn_is_waited_for_and_not_for_ever() -> None:
    turn, began, mine = Turn(patience=PATIENCE), threading.Event(), threading.Event()

    def other() -> None:
        began.set()
        turn.take()
        mine.set()
        turn.give()

    turn.take()
    thread = threading.Thread(target=other)
    thread.start()
    assert began.wait(PATIENCE)
    assert not mine.is_set()
    turn.give()
    assert mine.wait(PATIENCE)
    thread.join()
    impatient = Turn(patience=0)
    impatient.take()
    late = threading.Thread(target=impatient.take)
    late.start()
    late.join(PATIENCE)
    assert not late.is_alive()
    impatient.give()


async def test_what_a_verb_says_is_told_when_its_connection_is_lost_meanwhile(database: PostgresDatabase) -> None:
    def refuse_when_it_is_lost(uow: UnitOfWork) -> None:
        with psycopg.connect(database.url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (uow.scalar(_backend),))
        refuse(uow)

    for ask in (database.read, database.write):
        with pytest.raises(NotFound):
            await ask(refuse_when_it_is_lost)
        assert await ask(transaction)
