"""Databases for tests: every test that touches one runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import functools
import importlib
import pkgutil
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select

import dais
from dais.kit.clock import ManualClock
from dais.kit.database import Database, Statement, UnitOfWork, metadata, open_database

_memory = Path("/dev/shm")
_roomy = 512 << 20


@contextlib.contextmanager
def sqlite_url(*, tables: bool = True) -> Iterator[str]:
    """The URL of an SQLite database of one's own, with every table or empty; removed at the end.

    It is in memory where there is room: a commit waits for the disk, most tests make dozens of them, and none of those
    that open a database in their own process looks at what a disk keeps.
    """
    place = _memory if _memory.is_dir() and shutil.disk_usage(_memory).free > _roomy else None
    with tempfile.TemporaryDirectory(prefix="dais-database-", dir=place) as directory:
        url = f"sqlite:///{directory}/dais.db"
        if tables:
            create_tables(url)
        yield url


@functools.cache
def import_all_tables() -> None:
    """Import every `tables` module, so that the metadata is whole."""
    for module in pkgutil.walk_packages(dais.__path__, "dais."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)


def create_tables(url: str) -> None:
    """Make the whole schema in an empty database."""
    import_all_tables()
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).write_bytes(_sqlite_with_tables(frozenset(metadata.tables)))
        return
    for table in metadata.tables.values():
        for index in table.indexes:  # as `partial_index` says: the tables tell SQLite alone
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
    _create_all(url.replace("postgresql://", "postgresql+psycopg://"))


@functools.cache
def _sqlite_with_tables(_tables: frozenset[str]) -> bytes:
    """The file of a database with these tables, which are all that there are: a hundred times as quick to copy."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "dais.db"
        _create_all(f"sqlite:///{path}")
        return path.read_bytes()


def _create_all(url: str) -> None:
    engine = create_engine(url)
    metadata.create_all(engine)
    engine.dispose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(database_url: str, clock: ManualClock, tmp_path: Path) -> Iterator[Database]:
    """An open database with every table, on each kind in turn."""
    opened = open_database(database_url, clock)
    yield opened
    opened.close()


def every_row(uow: UnitOfWork) -> str:
    """All that is in the database, as text: what must not be found in it in the clear is looked for here."""
    return "\n".join(str(tuple(row)) for table in metadata.sorted_tables for row in uow.all(Statement(select(table))))
