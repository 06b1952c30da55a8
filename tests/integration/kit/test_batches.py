"""Verbs that are committed together: each fails alone, whatever it had written, and the others are kept."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import bindparam, insert, select

from dais.kit.database import Database, Event, Statement, UnitOfWork
from dais.kit.database.batch import MAX_BATCH
from dais.kit.errors import Conflict
from dais.kit.outbox import after, number_events
from dais.kit.tables import leases

pytestmark = pytest.mark.anyio

PATIENCE = 20.0

_insert = Statement(insert(leases))
_names = Statement(select(leases.c.name).where(leases.c.token == bindparam("token")).order_by(leases.c.name))


def put(uow: UnitOfWork, name: str) -> str:
    uow.run(_insert, name=name, token="t", holder="h", expires_at=uow.now)
    uow.emit(Event("thing.new", "thing", name, None))
    return name


def put_and_fail(uow: UnitOfWork, name: str) -> None:
    put(uow, name)
    raise Conflict(f"not {name}", code="no")


def refuse(uow: UnitOfWork, name: str) -> None:
    uow.emit(Event("thing.new", "thing", name, None))
    raise Conflict(f"not {name}", code="no")


def names(uow: UnitOfWork) -> list[str]:
    return [row.name for row in uow.all(_names, token="t")]


def told(uow: UnitOfWork) -> list[str]:
    return [event.subject_id for event in after(uow, 0)]


async def together(database: Database, verbs: list[tuple[Any, ...]]) -> list[Any]:
    """Run verbs in one batch: they are asked for while every writer is held up."""
    writers = 1 if database.dialect == "sqlite" else len(database._writers)  # type: ignore[attr-defined]
    held, go = threading.Semaphore(0), threading.Event()

    def hold(_: UnitOfWork) -> None:
        held.release()
        assert go.wait(PATIENCE)

    holding = []
    for _ in range(writers):
        holding.append(asyncio.ensure_future(database.write(hold)))
        await asyncio.sleep(0)  # it is queued
        assert await asyncio.to_thread(held.acquire, timeout=PATIENCE)
    asked = [asyncio.ensure_future(database.write(*verb)) for verb in verbs]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*holding)
    return await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.parametrize("failing", [refuse, put_and_fail])
async def test_a_verb_fails_alone(database: Database, failing: Any) -> None:
    before, refused, again, last = await together(database, [(put, "a"), (failing, "b"), (put, "a"), (put, "c")])
    assert (before, last) == ("a", "c")
    assert isinstance(refused, Conflict)
    assert str(refused) == "not b"
    assert isinstance(again, Conflict), "the same name twice"
    assert await database.read(names) == ["a", "c"]
    if database.dialect != "sqlite":
        await database.write(number_events)
    assert await database.read(told) == ["a", "c"]


async def test_a_batch_is_one_transaction(database: Database) -> None:
    everything = [f"n{number:03}" for number in range(MAX_BATCH // 2)]
    commits = sum(database.meter.sizes.counts)
    assert await together(database, [(put, name) for name in everything]) == everything
    assert await database.read(names) == everything
    assert sum(database.meter.sizes.counts) - commits < len(everything) / 4
