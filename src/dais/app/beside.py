"""Opening an installation's database from a command on the machine itself, while the server runs or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dais.app.backup.database import check_same, url_of
from dais.app.build import load_settings
from dais.app.kept import drop
from dais.app.schema import is_current
from dais.kit.database import Database, open_database
from dais.kit.database.open import sqlite_path
from dais.kit.errors import Conflict, Forbidden, NotFound


@contextmanager
def opened(data_dir: Path, config: Path | None = None) -> Iterator[Database]:
    """The database, as whom it belongs to. Raises Forbidden `not-the-owner`, NotFound `no-database`, Conflict."""
    url = url_of(load_settings(data_dir, config), data_dir)
    check_same(url, data_dir)
    if url.startswith("sqlite"):
        _become_owner(sqlite_path(url))
        if not is_current(url):
            raise Conflict(
                "the database is of another version of Dais than this command; start the server once",
                code="other-schema",
            )
    db = open_database(url)
    try:
        yield db
    finally:
        db.close()


def _become_owner(path: Path) -> None:
    """Go on as whose database this is: what root makes beside it the server could not write.

    Raises NotFound `no-database`, Forbidden `not-the-owner`.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise NotFound(
            f"there is no database {path} to be read ({error.strerror}); is --data-dir right?", code="no-database"
        ) from error
    if os.geteuid() not in (0, status.st_uid):
        raise Forbidden(
            f"{path} belongs to another user of this machine; run this as that user, or as root", code="not-the-owner"
        )
    if os.geteuid() == 0 and status.st_uid != 0:
        drop(status.st_uid, status.st_gid)
