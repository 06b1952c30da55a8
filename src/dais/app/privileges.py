"""Root's part of a start: whether the server can be another user than root, and everything laid out for it.

Then the server is an ordinary user who owns its data, and what is root is only the node supervisor and the process that
starts it (`keeper`). Root reads nothing here that the server's user could have written, and writes nowhere where that
user could have put something else in place.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

import dais
from dais.engines.local.settings import LocalSettings
from dais.engines.local.users import data_owner, leasing
from dais.engines.supervised.seccomp import filter_program
from dais.kit.data_directory import refuse_unfinished_restore
from dais.kit.errors import DaisError
from dais.kit.handover import hand_over
from dais.kit.settings import load, registry, settings
from dais.node import MAX_FRAME, OLDEST, connect, start_supervisor

NODE = "node"
CONFIG = "dais.toml"
ROOTS_OWN = (NODE, CONFIG, "lost+found")
"""What in the data directory does not belong to the server."""
ANSWER_SECONDS = 20.0


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """The server can be another user: whom, and what its supervisor leases."""

    uid: int
    gid: int
    lease: str


class Obstacle(Exception):
    """The server must be root; `args[0]` says why, and what to do."""


def lay_out(data_dir: Path, config: Path | None) -> Apart:
    """Make a data directory ready for a server that is not root, with a supervisor that serves it. Blocks.

    `data_dir` has no link in its path, and this process holds its lock. Raises Obstacle with everything as usable as
    before by a server that is root; OSError.
    """
    try:
        refuse_unfinished_restore(data_dir)
    except DaisError as error:
        raise Obstacle(error.message) from error
    found = whom(data_dir, config)
    node = data_dir / NODE
    _make_place(data_dir, node, found.gid)
    _ensure_supervisor(node, found.uid, found.lease)
    _give(data_dir, found.uid, found.gid)
    return found


def whom(data_dir: Path, config: Path | None) -> Apart:
    """Who the server would be. Changes nothing; asked by root. Raises Obstacle where it would have to be root."""
    local = _settings(data_dir, config)
    if local.isolation == "process":
        raise Obstacle("DAIS_LOCAL_ISOLATION is process, and without a sandbox jobs run as the server")
    uid, gid = data_owner(local)
    try:
        lease = leasing(local)
    except ValueError as error:
        raise Obstacle(f"{error}; change DAIS_LOCAL_FIRST_JOB_UID or DAIS_LOCAL_DATA_UID") from error
    assert lease is not None, "root alone lays out"
    code = list(_code())
    database = _database_elsewhere(data_dir, config)
    problem = as_user(uid, gid, lambda: _unfit(data_dir, code) or _unwritable(database))
    if problem:
        raise Obstacle(problem)
    return Apart(uid=uid, gid=gid, lease=lease)


def start_apart(node: Path, lease: str) -> None:
    """Start the supervisor of a directory that was laid out. Raises OSError."""
    start_supervisor(str(node), lease=lease, apart=True, filter_program=filter_program())


# Whom.


def _settings(data_dir: Path, config: Path | None) -> LocalSettings:
    """The settings that root acts by: of a file that only root can have written.

    What is wrong in them is left to the server to say.
    """
    if "local" not in registry:
        settings("local")(LocalSettings)
    text = next(iter(root_configuration(data_dir, config).values()), "")
    try:
        return load(LocalSettings, {"local": tomllib.loads(text).get("local", {})})
    except (DaisError, tomllib.TOMLDecodeError) as error:
        raise Obstacle(f"the settings cannot be read: {error}") from error


def root_configuration(data_dir: Path, config: Path | None) -> dict[Path, str]:
    """The configuration files that root acts by, the first that applies first, with what they say.

    They are root's and nobody else can write them. The server is given their text: it may not be able to read them.
    """
    named = os.environ.get("DAIS_CONFIG")
    if config is not None or named:
        places = [config or Path(named or "")]
    else:
        places = [data_dir / CONFIG, Path("/etc/dais") / CONFIG]
    return {place: text for place in places if (text := _trusted(place)) is not None}


def _trusted(path: Path) -> str | None:
    """What a file says that is root's, and that nobody else can write; None for any other."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    status = os.fstat(fd)
    if status.st_uid != 0 or status.st_mode & 0o022 or not stat.S_ISREG(status.st_mode):
        os.close(fd)
        return None
    with os.fdopen(fd, encoding="utf-8", errors="surrogateescape") as file:
        return file.read(1 << 20)


def as_user(uid: int, gid: int, question: Callable[[], str]) -> str:
    """What `question` answers in a process of another user. Raises OSError."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        words = "the question could not be asked"
        try:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            words = question()
        except OSError as error:
            words = str(error)
        finally:
            os.write(told, words.encode("utf-8", "replace")[:4000])
            os._exit(0)
    os.close(told)
    with os.fdopen(heard, "rb") as file:
        answer = file.read().decode("utf-8", "replace")
    os.waitpid(pid, 0)
    return answer


def _database_elsewhere(data_dir: Path, config: Path | None) -> Path | None:
    """The file of an SQLite database that is not in the data directory, which is handed over with all in it."""
    text = next(iter(root_configuration(data_dir, config).values()), "")
    url = os.environ.get("DAIS_DATABASE_URL") or str(tomllib.loads(text).get("database", {}).get("url", ""))
    if not url.startswith("sqlite:///"):
        return None
    path = Path(url.removeprefix("sqlite:///"))
    return None if path.is_relative_to(data_dir) else path


def _unwritable(database: Path | None) -> str:
    """Why this user could not use a database, in words. Asked as that user."""
    if database is None:
        return ""
    for path in (database.parent, database):
        if not os.access(path, os.W_OK) and (path != database or os.path.lexists(path)):
            return f"user {os.getuid()} may not write {path}, where the database is; move it into the data directory"
    return ""


def _unfit(data_dir: Path, code: Iterable[Path]) -> str:
    """Why this user could not be the server, in words; "" when it can. Asked as that user."""
    remedy = "choose a directory that everybody may enter, such as /var/lib/dais, with --data-dir"
    for path in reversed(data_dir.parents):
        if not path.exists():
            break  # root makes it
        if not os.access(path, os.X_OK):
            return f"user {os.getuid()} may not enter {path}, where the data directory is; {remedy}"
        if os.access(path, os.W_OK) and not path.stat().st_mode & stat.S_ISVTX:
            return f"user {os.getuid()} could put another directory in the place of {data_dir}; {remedy}"
    for path in code:
        for above in reversed(path.parents):
            if not os.access(above, os.X_OK):
                return (
                    f"user {os.getuid()} may not enter {above}, where {path} is; install Dais where everybody may "
                    "read it, such as in a virtual environment below /opt"
                )
        if not os.access(path, os.R_OK):
            return f"user {os.getuid()} may not read {path}, which Dais consists of; make it readable for everybody"
        for place in (path, *path.parents):
            if os.access(place, os.W_OK) and not place.stat().st_mode & stat.S_ISVTX:
                return f"user {os.getuid()} can write {place}, which root executes; let it belong to root"
    return ""


def _code() -> Iterator[Path]:
    """What root executes: this program, its interpreter, and what both import."""
    package = Path(dais.__file__).parent
    yield package
    yield from (package / NODE).glob("*.py")
    yield Path(os.path.realpath(sys.executable))
    yield Path(os.__file__).parent
    here = str(Path.cwd())
    yield from (Path(place) for place in sys.path if place and place != here and Path(place).exists())


# Where.


def _make_place(data_dir: Path, node: Path, gid: int) -> None:
    """The data directory is root's, the server's group may write, and what is root's there cannot be moved away."""
    for path, owner in ((data_dir, "the data directory"), (node, "the supervisor's directory")):
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
        if status.st_uid != 0 or not stat.S_ISDIR(status.st_mode):
            raise Obstacle(f"{owner} {path} belongs to user {status.st_uid}; say chown root {path}")
    os.chown(data_dir, 0, gid)
    data_dir.chmod(0o1770)
    if node.stat().st_gid != gid:
        # Logs of before: root's, like all in this directory.
        for _, _, names, fd in os.fwalk(node):
            for name in names:
                os.chown(name, 0, gid, dir_fd=fd, follow_symlinks=False)
                if name.endswith((".seg", ".log")):
                    os.chmod(name, 0o640, dir_fd=fd)
            os.fchown(fd, 0, gid)
            os.fchmod(fd, 0o2750)
    os.chown(node, 0, gid)
    node.chmod(0o2750)


def _give(data_dir: Path, uid: int, gid: int) -> None:
    """Everything else is the server's; of what holds many trees each one is looked at."""
    hand_over(data_dir, uid, gid, keep=ROOTS_OWN)
    for name in ("folders", "envs", "jobs", "blobs", "copies"):
        hand_over(data_dir / name, uid, gid)


# The supervisor.


def _ensure_supervisor(node: Path, uid: int, lease: str) -> None:
    """See to it that one serves that knows the server's user, and can isolate. Raises Obstacle, OSError."""
    found = _describe(node)
    if found is not None and found["isolation"].get("server_uid") != uid:
        if found["running"]:
            raise Obstacle(
                f"the node supervisor that runs {found['running']} jobs began with a server that was root; once they "
                "have ended, restart Dais"
            )
        _shut_down(node)
        found = None
    if found is None:
        start_apart(node, lease)
        found = _await(node)
    why = found["isolation"].get("uid_lease")
    if why is not True:
        _shut_down(node)
        raise Obstacle(f"jobs cannot have users of their own here: {why}")


def _await(node: Path) -> dict[str, Any]:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        found = _describe(node)
        if found is not None:
            return found
        time.sleep(0.01)
    raise Obstacle(f"the node supervisor does not answer; its log is {node}/supervisor.log")


def _describe(node: Path) -> dict[str, Any] | None:
    """What the supervisor there says of itself; None when none answers."""
    try:
        answer = _ask(node, {"op": "describe", "protocol": OLDEST})
    except (FileNotFoundError, ConnectionError):
        return None
    if answer.get("op") != "description":
        raise Obstacle("the node supervisor is an older one; once its jobs have ended, restart Dais")
    return answer


def _shut_down(node: Path) -> None:
    """End a supervisor that runs nothing, and wait until it has ended."""
    with connect(str(node)) as sock:
        sock.settimeout(ANSWER_SECONDS)
        _send(sock, {"op": "hello", "protocol": OLDEST})
        _send(sock, {"op": "shutdown", "kill": False})
        try:
            while sock.recv(1 << 16):
                pass
        except ConnectionError:
            pass
    deadline = time.monotonic() + ANSWER_SECONDS
    while (node / "supervisor.sock").exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def _ask(node: Path, request: dict[str, Any]) -> dict[str, Any]:
    with connect(str(node)) as sock:
        sock.settimeout(ANSWER_SECONDS)
        _send(sock, request)
        with sock.makefile("rb") as stream:
            head = stream.read(4)
            if len(head) < 4:
                raise ConnectionError("it closed the connection")
            answer: dict[str, Any] = json.loads(stream.read(min(struct.unpack(">I", head)[0], MAX_FRAME)))
    return answer


def _send(sock: socket.socket, request: dict[str, Any]) -> None:
    body = json.dumps(request).encode()
    sock.sendall(struct.pack(">I", len(body)) + body)
