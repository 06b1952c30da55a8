"""As whom a server runs, and what others do for it: nobody, unless root keeps it. Light: root imports it."""

from __future__ import annotations

import getpass
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dais.kit.data_directory import DirectoryLock
from dais.kit.errors import Conflict
from dais.sdk.installation import read_info
from dais.sdk.profiles import Profile, read_profiles, write_profile


class Profiles:
    """The profile file of whoever started the server. Errors are the SDK's, and OSError."""

    def login(self) -> str:
        """What that user is called."""
        try:
            return getpass.getuser()
        except (OSError, KeyError):  # a uid without a name, and no LOGNAME either
            return f"user-{os.getuid()}"

    def read(self) -> dict[str, Profile]:
        return read_profiles()

    def write(self, name: str, profile: Profile) -> Path:
        """Returns the file."""
        return write_profile(name, profile)

    def done(self) -> None:
        """Nothing more will be written."""


def address(url: str | None) -> tuple[str, int | None]:
    """Where a URL leads: this machine has one name."""
    parts = urlsplit(url or "")
    host = parts.hostname or ""
    return ("localhost" if host in ("127.0.0.1", "::1") else host), parts.port


def is_apart(data_dir: Path) -> bool:
    """Whether a server that is not root had this directory. Then root must not open what is in it. Raises OSError."""
    status = data_dir.stat()
    return status.st_uid == 0 and status.st_gid != 0 and bool(status.st_mode & stat.S_ISVTX)


class ServerLock(DirectoryLock):
    """The data directory's lock, whose refusal says who has it and where that one listens."""

    def take(self) -> None:
        try:
            super().take()
        except Conflict as error:
            pid = error.fields.get("pid")
            info = read_info(self.directory)
            where = f"at {info.url}" if info is not None and info.pid == pid else "and is starting or stopping"
            raise Conflict(
                f"{error.message}: pid {pid or 'unknown'}, {where}; use it, stop it with `dais down`, or choose "
                "another --data-dir",
                code=error.code,
                pid=pid,
            ) from error


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a server was started. `lock`: taken already; `starter` starts a node supervisor in its stead.

    `configuration` is what configuration files say that root has read. `apart`: it is not root, and root has laid out
    the data directory for it. `obstacle`: it is root because that could not be; why, and what to do.
    """

    lock: DirectoryLock | None = None
    starter: Callable[[], None] | None = None
    profiles: Profiles = field(default_factory=Profiles)
    configuration: Mapping[Path, str] = field(default_factory=dict)
    apart: bool = False
    obstacle: str | None = None
