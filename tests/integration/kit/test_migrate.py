"""The schema is brought up to date whole or not at all."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from dais.app.schema import ensure_schema, newest_step
from dais.kit.database import metadata
from dais.kit.database.migrate import upgrade
from dais.kit.errors import Conflict, DaisError
from tests.support.database import import_all_tables


def names(url: str) -> set[str]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_an_empty_database_gets_every_table(database_url: str, tmp_path: Path) -> None:
    import_all_tables()
    ensure_schema(database_url, tmp_path / "backups")
    assert names(database_url) == set(metadata.tables) | {"alembic_version"}
    assert upgrade(database_url) == newest_step()
    ensure_schema(database_url, tmp_path / "backups")


def test_a_schema_of_a_newer_dais_is_refused(database_url: str, tmp_path: Path) -> None:
    ensure_schema(database_url, tmp_path)
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'ffff'")
    engine.dispose()
    with pytest.raises(Conflict, match="newer") as caught:
        ensure_schema(database_url, tmp_path)
    assert caught.value.code == "schema-newer"


def test_a_step_that_fails_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "dais.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE users (taken INTEGER)")  # the first step stumbles over it
    connection.close()
    for _ in range(2):
        with pytest.raises(DaisError, match="users already exists"):
            ensure_schema(f"sqlite:///{file}", tmp_path)
        assert names(f"sqlite:///{file}") <= {"users", "alembic_version"}
