"""The schema of the database, brought up to date by a child process.

Alembic takes 9 MB and a sixth of a second to import, for what is done once in many starts: so the server does not
import it. The child is forked before the server has any thread.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path

import msgspec

import dais.migrations
from dais.kit import errors
from dais.kit.database.open import check_url, sqlite_path
from dais.kit.errors import DaisError, Unavailable

_revision = re.compile(r'^(down_)?revision(?:\s*:[^=]+)?\s*=\s*"([^"]+)"', re.MULTILINE)


class _Failure(msgspec.Struct):
    family: str
    message: str
    code: str


def ensure_schema(url: str, backups: Path) -> None:
    """Bring the schema of the database to this program's. Raises as `kit.database.migrate.upgrade`."""
    check_url(url)
    if is_current(url):
        return
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(heard)
        _upgrade_and_exit(url, backups, told)
    os.close(told)
    with os.fdopen(heard, "rb") as file:
        said = file.read()
    _, status = os.waitpid(pid, 0)
    if said:
        failure = msgspec.json.decode(said, type=_Failure)
        family: type[DaisError] = getattr(errors, failure.family, Unavailable)
        raise family(failure.message, code=failure.code)
    if status != 0:
        raise Unavailable(
            f"the schema could not be brought up to date: the process for it ended with {status}; the server's log "
            "may tell more",
            code="migration-failed",
        )


def newest_step() -> str | None:
    """The newest step of the project's migrations: the one that no other follows."""
    steps, followed = _steps()
    left = steps - followed
    return left.pop() if len(left) == 1 else None


def known_steps() -> set[str]:
    """Every step of the project's migrations."""
    return _steps()[0]


def _steps() -> tuple[set[str], set[str]]:
    """All steps, and those that another one follows."""
    steps: set[str] = set()
    followed: set[str] = set()
    for file in (Path(dais.migrations.__file__).parent / "versions").glob("*.py"):
        for before, name in _revision.findall(file.read_text(encoding="utf-8")):
            (followed if before else steps).add(name)
    return steps, followed


def is_current(url: str) -> bool:
    """Whether an SQLite database surely has the newest schema; every doubt is left to Alembic."""
    if not url.startswith("sqlite"):
        return False
    path = sqlite_path(url)
    if not path.is_file():
        return False
    try:
        connection = sqlite3.connect(path, timeout=0.2)
        try:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        finally:
            connection.close()
    except sqlite3.Error:
        return False
    newest = newest_step()
    return newest is not None and rows == [(newest,)]


def _upgrade_and_exit(url: str, backups: Path, told: int) -> None:
    code = 1
    try:
        from dais.kit.database.migrate import upgrade

        upgrade(url, backups=backups)
        code = 0
    except DaisError as error:
        failure = _Failure(type(error).__name__, error.message, error.code)
        os.write(told, msgspec.json.encode(failure))
    except BaseException:
        import logging

        logging.getLogger(__name__).exception("the schema could not be brought up to date")
    finally:
        os._exit(code)
