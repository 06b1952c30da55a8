"""Moving an installation's rows from one database to another, and proving that all of them are there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec

from dais.app.backup.database import remove_sqlite, url_of
from dais.app.build import load_settings
from dais.kit.data_directory import DirectoryLock
from dais.kit.database.ends import tables_of
from dais.kit.database.migrate import upgrade
from dais.kit.database.open import check_url, sqlite_path
from dais.kit.database.transfer import Moved, OnMoved, TableSum, check_unused, move, schema_of
from dais.kit.errors import Conflict, Invalid, NotFound

__all__ = ["Migrated", "Moved", "OnMoved", "migrate_to"]


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved. `source` and `target` are shown without a password; the sums are the same on both sides."""

    source: str
    target: str
    rows: int
    seconds: float
    tables: list[TableSum]


def migrate_to(data_dir: Path, target: str, config: Path | None = None, tell: OnMoved | None = None) -> Migrated:
    """Copy every row of an installation's database into an empty one. The old one stays as it is.

    Raises Conflict `already-running`, `target-not-empty`, Invalid (rows that the target cannot hold), Unavailable; the
    target then has no rows.
    """
    begun = time.monotonic()
    check_url(target)
    source = url_of(load_settings(data_dir, config), data_dir)
    if source.startswith("sqlite") and not sqlite_path(source).is_file():
        raise NotFound(
            f"there is no database {sqlite_path(source)}; is --data-dir right, and are the settings "
            "(DAIS_DATABASE_URL, --config) the server's?",
            code="no-database",
        )
    if source == target:
        raise Invalid(f"{shown(target)} is the database of this installation already", code="same-database")
    with _unused(data_dir):
        check_unused(source)
        upgrade(source, backups=data_dir / "backups")
        fresh = _prepare(target)
        try:
            tables = move(source, target, tell=tell)
        except BaseException:
            if fresh:
                remove_sqlite(sqlite_path(target))
            raise
    return Migrated(
        source=shown(source),
        target=shown(target),
        rows=sum(table.rows for table in tables),
        seconds=round(time.monotonic() - begun, 3),
        tables=tables,
    )


def shown(url: str) -> str:
    """The URL without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", ":***@", 1)))


def _prepare(target: str) -> bool:
    """Make the tables in an empty database; True when that made a file. Raises Conflict `target-not-empty`."""
    fresh = target.startswith("sqlite") and not sqlite_path(target).exists()
    if fresh and not sqlite_path(target).parent.is_dir():
        raise NotFound(f"there is no directory {sqlite_path(target).parent}; make it first", code="no-such-directory")
    if not fresh and schema_of(target) is None and (strangers := [table.name for table in tables_of(target)]):
        raise Conflict(
            f"{shown(target)} has tables of something else ({', '.join(strangers[:5])}); name a database of its own",
            code="target-not-empty",
        )
    if not fresh:
        check_unused(target)
    upgrade(target)
    return fresh


@contextmanager
def _unused(data_dir: Path) -> Iterator[None]:
    try:
        lock = DirectoryLock(data_dir).__enter__()
    except Conflict as error:
        raise Conflict(
            f"Dais runs on {data_dir} (pid {error.fields.get('pid') or 'unknown'}); stop it with `dais down` first, so "
            "that nothing is written meanwhile. Jobs go on",
            code=error.code,
        ) from error
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
