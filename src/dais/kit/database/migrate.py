"""Bringing a database's schema to this program's: under a lock, after a backup, and never backwards."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError

import dais
from dais.kit.database.ends import driver_url, of_driver
from dais.kit.database.mounts import refuse_network_file_system
from dais.kit.database.open import sqlite_path
from dais.kit.errors import Conflict

log = logging.getLogger(__name__)

_LOCK = 0x0DA15
"""The PostgreSQL advisory lock under which the schema is changed."""


def upgrade(url: str, *, backups: Path | None = None) -> str | None:
    """Bring the schema to the newest step; the step it had before, None when the database was empty.

    An SQLite database that has steps to take is copied into `backups` first. Raises Conflict `schema-newer` when the
    database was written by a newer Dais, and Unavailable when it cannot be read or changed; nothing is then changed.
    """
    if url.startswith("sqlite"):
        refuse_network_file_system(sqlite_path(url).parent)
    with _connection(url) as connection:
        config = make_config(connection)
        script = ScriptDirectory.from_config(config)
        before = MigrationContext.configure(connection).get_current_revision()
        if before is not None and before not in {step.revision for step in script.walk_revisions()}:
            raise Conflict(
                f"the database has schema {before}, which this Dais ({dais.__version__}) does not know: a newer one "
                "wrote it; start that version, or restore the backup that it made before the upgrade",
                code="schema-newer",
                schema=before,
            )
        if before == script.get_current_head():
            return before
        if before is not None and backups is not None and url.startswith("sqlite"):
            _copy(sqlite_path(url), backups / f"before-{script.get_current_head()}.db")
        command.upgrade(config, "head")
        return before


def make_config(connection: Connection) -> Config:
    """Alembic's configuration for the project's tree, on an open connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(dais.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    engine = create_engine(driver_url(url))
    if engine.dialect.name == "sqlite":
        _make_transactional(engine)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
                connection.commit()
            yield connection
            connection.commit()
    except DatabaseError as error:
        raise of_driver(error, url) from error
    finally:
        engine.dispose()


def _make_transactional(engine: Engine) -> None:
    """Let SQLite undo a step that fails in its midst: its driver would commit before every change of the schema."""

    @event.listens_for(engine, "connect")
    def take_over(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _copy(database: Path, target: Path) -> None:
    """A consistent copy of an SQLite database, also while it is in use."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = target.with_suffix(".new")
    with sqlite3.connect(database) as source, sqlite3.connect(fresh) as copy:
        source.backup(copy)
    fresh.replace(target)
    log.info("the database was copied to %s before its schema is changed", target)
