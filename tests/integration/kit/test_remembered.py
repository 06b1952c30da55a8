"""What a process remembers of its database: kept until a change, and never from before one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from dais.kit.clock import ManualClock
from dais.kit.database import Statement, UnitOfWork
from dais.kit.database.remembered import MOST, Remembered
from dais.kit.database.sqlite import SqliteDatabase
from dais.kit.errors import Conflict

_read = Statement(text("SELECT value FROM thing"))
_write = Statement(text("UPDATE thing SET value = :value"))
TOPIC = "things"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE thing (value TEXT)")
        made.execute("INSERT INTO thing VALUES ('old')")
    opened = SqliteDatabase(path, ManualClock())
    yield opened
    opened.close()


def value(uow: UnitOfWork) -> str:
    return uow.remembered(TOPIC, "key", lambda: str(uow.scalar(_read)))


def change(uow: UnitOfWork, to: str) -> str:
    uow.run(_write, value=to)
    uow.hint(TOPIC)
    return value(uow)


def change_and_fail(uow: UnitOfWork, to: str) -> None:
    assert change(uow, to) == to, "the unit sees its own change"
    raise Conflict("no", code="no")


def test_a_change_is_seen_by_the_next_unit_and_a_failed_one_by_none(database: SqliteDatabase) -> None:
    assert database.read_sync(value) == "old"
    assert database.write_sync(change, "new") == "new"
    assert database.read_sync(value) == "new"
    with pytest.raises(Conflict):
        database.write_sync(change_and_fail, "never")
    assert database.read_sync(value) == "new"
    assert database.write_sync(value) == "new"


@pytest.mark.anyio
@pytest.mark.parametrize("reader", ["glance", "read"])
@pytest.mark.parametrize("known_before", [False, True])
async def test_a_reader_of_an_old_snapshot_leaves_nothing_stale(
    database: SqliteDatabase, reader: str, known_before: bool
) -> None:
    def slow(uow: UnitOfWork) -> str:
        """Reads; somebody changes it; only then it is remembered."""

        def load() -> str:
            found = str(uow.scalar(_read))
            database.write_sync(change, "new")
            return found

        return uow.remembered(TOPIC, "key", load)

    if known_before:
        await database.read(value)
        await database.write(change, "older")
    assert await getattr(database, reader)(slow) == ("older" if known_before else "old")
    assert await database.glance(value) == "new"


def test_others_topics_do_not_matter() -> None:
    known = Remembered()
    since = known.now
    known.drop(["others"])
    known.put(TOPIC, 1, "kept", since)
    assert known.get(TOPIC, 1, since) == "kept"
    known.drop([TOPIC])
    known.put(TOPIC, 1, "stale", since)
    assert known.get(TOPIC, 1, known.now) is None
    known.put(TOPIC, 1, "new", known.now)
    assert known.get(TOPIC, 1, known.now) == "new"
    assert known.get(TOPIC, 1, since) is None, "who sees the old is not shown the new among it"


def test_what_is_remembered_is_bounded() -> None:
    known = Remembered()
    for number in range(MOST + 1):
        known.put(TOPIC, number, number, known.now)
    assert known.get(TOPIC, MOST, known.now) == MOST
    assert known.get(TOPIC, 0, known.now) is None
