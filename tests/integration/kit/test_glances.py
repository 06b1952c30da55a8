"""Reading SQLite on the event loop: what a turn of it sees, and what happens when a verb would hold it up."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from dais.kit.clock import ManualClock
from dais.kit.database import Statement, UnitOfWork, glass
from dais.kit.database.sqlite import SqliteDatabase

pytestmark = pytest.mark.anyio

_count = Statement(text("SELECT count(*) FROM things"))
_add = Statement(text("INSERT INTO things (name) VALUES (:name)"))
_endless = Statement(
    text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) SELECT max(i) FROM n")
)


def count(uow: UnitOfWork) -> int:
    return int(uow.scalar(_count))


def add(uow: UnitOfWork, name: str) -> None:
    uow.run(_add, name=name)
    uow.hint("things")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE things (name TEXT)")
    made_db = SqliteDatabase(path, ManualClock())
    yield made_db
    made_db.close()


async def test_a_turn_of_the_loop_sees_one_snapshot_of_what_others_write(database: SqliteDatabase) -> None:
    assert await database.glance(count) == 0
    with closing(sqlite3.connect(database.path)) as other, other:
        other.execute("INSERT INTO things VALUES ('theirs')")
    assert await database.glance(count) == 0, "the same turn"
    await asyncio.sleep(0)
    assert await database.glance(count) == 1, "the next one"


async def test_what_this_process_has_committed_is_seen_at_once(database: SqliteDatabase) -> None:
    """Whoever drops what it remembers at a commit's hint must not remember the old again, in the same turn."""
    committed = threading.Event()
    database.hints.listen("things", committed.set)
    assert await database.glance(count) == 0
    writing = threading.Thread(target=database.write_sync, args=(add, "ours"))
    writing.start()
    assert committed.wait(10), "told on the writer's thread, while this turn goes on"
    assert await database.glance(count) == 1
    writing.join()


async def test_what_was_written_is_found_when_the_write_was_answered(database: SqliteDatabase) -> None:
    for number in range(1, 50):
        await database.write(add, str(number))
        assert await database.glance(count) == number


async def test_a_snapshot_ends_though_its_verbs_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glass, "LOOK_AT_CLOCK", 1)
    monkeypatch.setattr(glass, "LONGEST_SECONDS", 0.0)
    with closing(sqlite3.connect(tmp_path / "some.db", isolation_level=None)) as connection:
        looking = glass.Glass(connection)
        looking.look(0)
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        looking.look(1)
        looking.look_away()
        assert not connection.in_transaction


async def test_no_snapshot_outlives_its_turn(database: SqliteDatabase) -> None:
    await database.write(add, "one")
    await database.glance(count)
    await asyncio.sleep(0)
    with closing(sqlite3.connect(database.path, timeout=0)) as other:
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "nobody reads the old"


async def test_a_verb_that_takes_long_goes_to_a_thread(database: SqliteDatabase) -> None:
    seen: list[str] = []

    def slow(uow: UnitOfWork) -> int:
        seen.append(threading.current_thread().name)
        return int(uow.scalar(_endless))

    assert await database.glance(slow) == 300_000
    here, there = seen
    assert here == threading.current_thread().name
    assert there.startswith("dais-reader")
    assert await database.glance(count) == 0, "glances go on"


async def test_a_loop_that_follows_another_gets_a_snapshot_of_its_own(database: SqliteDatabase) -> None:
    def ask() -> int:
        loop = asyncio.new_event_loop()
        seen: list[int] = []

        def look() -> None:
            try:
                database.glance(count).send(None)
            except StopIteration as answered:
                seen.append(answered.value)
            loop.stop()  # before the turn in which the snapshot would end

        loop.call_soon(look)
        loop.run_forever()
        loop.close()
        return seen[0]

    def both() -> tuple[int, int]:
        first = ask()
        with closing(sqlite3.connect(database.path)) as other, other:
            other.execute("INSERT INTO things VALUES ('theirs')")
        return first, ask()

    assert await asyncio.to_thread(both) == (0, 1)
