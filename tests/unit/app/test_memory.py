"""What a running server does without. Importing it costs memory and time in every server, for ever."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NOT_NEEDED = {
    "alembic",  # migrations run in a child
    "psycopg",  # where the database is SQLite
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
    "pygments",
    "rich",
    "httpx2",
    "dais.web",  # what is only for pages comes with the first of them
    "starlette",
    "jinja2",
    "yaml",
    "html.entities",
    "smtplib",
    "websockets",
    "re2",  # what only some requests need, with the first of them
    "argon2",
    "asyncssh",
    "authlib",
    "cryptography",
    "prometheus_client",
    "segno",
    "webauthn",
    "zxcvbn",
    "aiodocker",  # what is outside, when it is connected
    "obstore",
}

STARTED = """
import gc, os, signal, sys
from pathlib import Path
from dais.app.serve import Options, serve

gc.disable()  # as `dais up` does

def ready(told):
    assert gc.isenabled() and gc.get_freeze_count()
    print(*sys.modules)
    os.kill(os.getpid(), signal.SIGTERM)

serve(Options(data_dir=Path(sys.argv[1]), port=0, terminal=False), ready)
"""


def test_a_started_server_has_imported_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """Started twice: the first time it makes the installation's first token, and keys."""
    data = tmp_path / "data"
    try:
        for _ in range(2):
            imported = set(_said(STARTED, arguments=[str(data)], DAIS_CONFIG_DIR=str(tmp_path)).split())
    finally:
        shutil.rmtree(data, ignore_errors=True)  # by which its supervisor knows that it may end
    assert "dais.app.build" in imported
    assert imported & NOT_NEEDED == set()


def test_what_stays_of_the_keeper_imports_next_to_nothing() -> None:
    """It is run as a file by a bare interpreter: a package around it would be imported, too."""
    bare = set(_said("import sys; print(*sys.modules)", "-I", "-S").split())
    code = "import sys; sys.path.insert(0, 'src/dais/app'); import watch; print(*sys.modules)"
    ours = set(_said(code, "-I", "-S").split()) - bare
    assert ours >= {"signal", "watch"}
    assert not ours & {"json", "typing", "socket", "subprocess", "dais", "re"}


def _said(code: str, *options: str, arguments: Sequence[str] = (), **environment: str) -> str:
    command = [sys.executable, *options, "-c", code, *arguments]
    env = os.environ | environment
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=env).stdout
