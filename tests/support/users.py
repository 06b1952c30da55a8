"""Users of this machine, for as long as a test needs them."""

from __future__ import annotations

import contextlib
import pwd
import secrets
import subprocess
from collections.abc import Iterator

from tests.support.needs import needs_program, needs_root


@contextlib.contextmanager
def local_user() -> Iterator[pwd.struct_passwd]:
    """A user with a shell and without a home; skips where none can be made."""
    needs_root()
    needs_program("useradd", "passwd")
    name = f"dais-{secrets.token_hex(4)}"
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", name], check=True)
    try:
        yield pwd.getpwnam(name)
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)
