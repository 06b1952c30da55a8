"""The schema's history leads to what the tables say, on both databases, and never backwards."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from dais.app.schema import newest_step
from dais.kit.database import metadata
from dais.kit.database.migrate import upgrade
from dais.kit.errors import Conflict
from tests.support.database import import_all_tables


def test_history_and_tables_agree(database_url: str) -> None:
    import_all_tables()
    assert upgrade(database_url) is None
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


def test_a_second_upgrade_finds_the_newest_step_and_changes_nothing(database_url: str) -> None:
    upgrade(database_url)
    assert upgrade(database_url) == newest_step()


def test_a_schema_that_a_newer_version_wrote_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "dais.db"
    upgrade(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(Conflict, match="schema 9999") as refusal:
        upgrade(f"sqlite:///{path}", backups=tmp_path / "backups")
    assert refusal.value.code == "schema-newer"
    assert path.read_bytes() == before
    assert not (tmp_path / "backups").exists()
