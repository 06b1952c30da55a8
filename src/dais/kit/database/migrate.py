"""Bringing a database's schema to this program's: under a lock, after a backup, and never backwards."""

from __future__ import annotations

import logging
import sqlite3
import time
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
from dais.kit.errors import Conflict, Unavailable

log = logging.getLogger(__name__)

_LOCK = 0x0DA15
"""The PostgreSQL advisory lock under which the schema is changed."""


KEPT_COPIES = 5
"""Copies from before an upgrade that are kept."""


def upgrade(url: str, *, backups: Path | None = None, step: str = "head") -> str | None:
    """Bring the schema to the newest step (or to `step`); the step it had before, None when the database was empty.

    A database that has steps to take is copied into `backups` first, as an SQLite file. Raises Conflict `schema-newer`
    when the database was written by a newer Dais, and Unavailable when it cannot be read, copied or changed; nothing is
    then changed.
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
        if before is not None and backups is not None:
            _keep(url, backups, f"before-{script.get_current_head()}")
        command.upgrade(config, step)
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


def _keep(url: str, backups: Path, name: str) -> None:
    """A copy of the database before it is changed; of such copies the newest stay. Raises DaisError."""
    from dais.kit.database.copying import copy_database  # which brings a copy's schema up to date with this module

    target = backups / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.db"
    fresh = target.with_suffix(".new")
    try:
        backups.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in backups.glob("*.new*"):
            left.unlink()
        copy_database(url, fresh)
        fresh.replace(target)
        copies = sorted(backups.glob("before-*.db"), key=lambda path: path.stat().st_mtime)
        for old in copies[:-KEPT_COPIES]:
            old.unlink()
    except OSError as error:
        raise Unavailable(
            f"the database could not be copied to {target} before its schema is changed, so it was left as it is: "
            f"{error.strerror}; make room, and start again",
            code="backup-failed",
        ) from error
    log.info("the database was copied to %s before its schema is changed", target)
