"""What a running server does without. Importing it costs memory and time in every server, for ever."""

from __future__ import annotations

import subprocess
import sys

NOT_NEEDED = {
    "alembic",  # migrations run in a child
    "psycopg",  # where the database is SQLite
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
    "pygments",
    "rich",
    "httpx2",
}


def test_a_server_imports_nothing_that_it_does_not_need() -> None:
    code = "import dais.app.serve, dais.api, dais.web, sys; print(*sys.modules)"
    imported = set(_said(code).split())
    assert "dais.app.build" in imported
    assert not imported & NOT_NEEDED


def test_what_stays_of_the_keeper_imports_next_to_nothing() -> None:
    """It is run as a file by a bare interpreter: a package around it would be imported, too."""
    bare = set(_said("import sys; print(*sys.modules)", "-I", "-S").split())
    code = "import sys; sys.path.insert(0, 'src/dais/app'); import watch; print(*sys.modules)"
    ours = set(_said(code, "-I", "-S").split()) - bare
    assert ours >= {"signal", "watch"}
    assert not ours & {"json", "typing", "socket", "subprocess", "dais", "re"}


def _said(code: str, *options: str) -> str:
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
