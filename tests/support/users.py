"""Users of this machine, for as long as a test needs them."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.needs import needs_program, needs_root
from tests.support.slurm import until


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
        uid = pwd.getpwnam(name).pw_uid
        until(lambda: not _killed(uid), "the end of what the user ran")
        subprocess.run(["userdel", name], check=True, capture_output=True)


def _killed(uid: int) -> list[int]:
    """What still ran of a user's, which gets KILL."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                os.kill(int(entry.name), signal.SIGKILL)
                found.append(int(entry.name))
    return found
