"""The Dais of this machine: where its data directory is, and whether its server runs."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Literal

import msgspec

from dais.sdk.own_directory import own_directory

SERVER_FILE = "server.json"
LOCK_FILE = "dais.lock"
LOG_FILE = "server.log"

ROOT_DATA_DIR = Path("/var/lib/dais")

State = Literal["running", "starting", "unresponsive", "stopped"]


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a running server writes about itself into its data directory. `database` is sqlite or postgresql."""

    pid: int
    url: str
    version: str
    data_dir: str
    database: str = ""


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a data directory. `stale`: a server ended there without tidying up.

    `problems` tell why a server that runs cannot do its work now, `away` which groups have an engine that is away.
    """

    state: State
    data_dir: str
    pid: int | None = None
    url: str | None = None
    version: str | None = None
    stale: bool = False
    problems: list[str] = []
    away: list[str] = []


def default_data_dir() -> Path:
    """DAIS_DATA_DIR, else the platform's data directory of this user for "dais".

    Root's is /var/lib/dais, which another user may enter, unless there is an installation at the other place already.
    """
    if named := os.environ.get("DAIS_DATA_DIR"):
        return Path(named).expanduser().absolute()
    own = own_directory("data")
    return ROOT_DATA_DIR if os.geteuid() == 0 and not own.exists() else own


def read_info(data_dir: Path) -> ServerInfo | None:
    """What the last server wrote about itself; None when there is nothing readable. Raises PermissionError."""
    try:
        return msgspec.json.decode((data_dir / SERVER_FILE).read_bytes(), type=ServerInfo)
    except PermissionError:
        raise
    except (OSError, msgspec.DecodeError):
        return None


def find_installation(data_dir: Path) -> Installation:
    """Whether a server runs on a data directory. Raises PermissionError when this user may not look."""
    holder = lock_holder(data_dir / LOCK_FILE)
    info = read_info(data_dir)
    if holder is None:
        return Installation(state="stopped", data_dir=str(data_dir), stale=info is not None)
    if info is None or info.pid != holder:
        return Installation(state="starting", data_dir=str(data_dir), pid=holder or None)
    return Installation(state="running", data_dir=str(data_dir), pid=info.pid, url=info.url, version=info.version)


def lock_holder(path: Path) -> int | None:
    """The pid that a lock file's holder wrote (0: not yet written); None when nobody holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)
    return None
