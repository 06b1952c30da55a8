"""SQLite on a disk with little room: what is written again and again does not fill it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from dais.kit.clock import ManualClock
from dais.kit.database import Statement, UnitOfWork
from dais.kit.database.sqlite import SqliteDatabase
from tests.support.places import small_disk

ROOM = 8 << 20
CONTENT = 256 << 10
_write = Statement(text("UPDATE things SET content = :content"))


def write(uow: UnitOfWork, content: bytes) -> None:
    uow.run(_write, content=content)


def test_the_log_of_what_is_written_over_and_over_fills_no_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", f"size={ROOM}") as disk:
        path = disk / "some.db"
        with closing(sqlite3.connect(path)) as made, made:
            made.execute("CREATE TABLE things (content BLOB)")
            made.execute("INSERT INTO things VALUES ('')")
        with closing(SqliteDatabase(path, ManualClock())) as database:
            for number in range(2 * ROOM // CONTENT):
                database.write_sync(write, bytes([number]) * CONTENT)
