"""Calling commands on a login node by ssh: over one connection, to a machine whose key is known, and never for ever."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence

from dais.engines.slurm.options import SlurmOptions

KEPT_SECONDS = 120
"""How long the connection is kept when nothing is asked: Slurm is asked more often while a job lives."""
FAILED = 255
"""What ssh ends with when it is ssh that failed."""
NOT_FOUND = 127

_settings = {
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    "ControlMaster": "auto",
    "ControlPersist": str(KEPT_SECONDS),
}


class Login:
    """The way to `options.login`. `owner` (uid, gid) is who goes it, if that is not who we are."""

    def __init__(self, options: SlurmOptions, owner: tuple[int, int] | None) -> None:
        self._options = options
        self._owner = owner
        self._directory: str | None = None

    def argv(self, words: Sequence[str]) -> list[str]:
        """The command line that runs these words there. What the group's options say of ssh comes before ours."""
        return [*self._ssh(), "--", self._options.login, shlex.join(words)]

    def close(self) -> None:
        """Let the connection go. Blocking, for a moment."""
        if self._directory is None:
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            end = [*self._ssh(), "-O", "exit", "--", self._options.login]
            subprocess.run(end, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None

    def _ssh(self) -> list[str]:
        if self._directory is None:  # a path of a socket has little room, and the data directory may be deep
            self._directory = tempfile.mkdtemp(prefix="dais-ssh-")
            if self._owner is not None:
                os.chown(self._directory, *self._owner)
        ours = [f"-o{name}={value}" for name, value in _settings.items()]
        return ["ssh", "-oBatchMode=yes", *self._options.ssh, *ours, f"-oControlPath={self._directory}/%C"]

    def why(self, said: str) -> str:
        """In words for people why the machine cannot be reached, with what mends it."""
        login, lower = self._options.login, said.lower()
        if "host key verification failed" in lower or "host key is known" in lower:
            if "has changed" in lower:
                return f"the host key of {login} is not the one that is known: {said}"
            return (
                f"the host key of {login} is not known to the server's user: log in once with `ssh {login}` as that "
                "user and compare the key, or name a file that has it: --option ssh=-oUserKnownHostsFile=PATH"
            )
        if "permission denied" in lower:
            return (
                f"{login} does not let the server's user in ({said}): put its public key into authorized_keys there, "
                "or name another key without a passphrase: --option ssh=-oIdentityFile=PATH"
            )
        return f"{login} cannot be reached by ssh: {said}"
