"""Databases for tests: every test that touches one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select

import dais
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Statement, UnitOfWork, metadata, open_database


def import_all_tables() -> None:
    """Import every `tables` module, so that the metadata is whole."""
    for module in pkgutil.walk_packages(dais.__path__, "dais."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)


def create_tables(url: str) -> None:
    """Make the whole schema in an empty database."""
    import_all_tables()
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    if engine.dialect.name == "postgresql":
        for table in metadata.tables.values():
            for index in table.indexes:  # as `partial_index` says: the tables tell SQLite alone
                index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
    metadata.create_all(engine)
    engine.dispose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(database_url: str, clock: ManualClock, tmp_path: Path) -> Iterator[Database]:
    """An open database with every table, on each kind in turn."""
    create_tables(database_url)
    opened = open_database(database_url, clock)
    yield opened
    opened.close()


def every_row(uow: UnitOfWork) -> str:
    """All that is in the database, as text: what must not be found in it in the clear is looked for here."""
    return "\n".join(str(tuple(row)) for table in metadata.sorted_tables for row in uow.all(Statement(select(table))))
