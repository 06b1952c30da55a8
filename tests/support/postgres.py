"""A throw-away PostgreSQL: one cluster per test session, on a Unix socket in a directory of its own.

Nothing is synced to disk and every user is trusted: it lives as long as the tests, and dies with them.
"""

from __future__ import annotations

import collections
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, LiteralString

import psycopg
from psycopg import sql

USER = "dais"
START_SECONDS = 60

INITDB = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "max_wal_size": "256MB",
    "log_min_messages": "warning",
    "lc_messages": "C",
}
REUSES = 25
"""How often a database is emptied and taken again: what was deleted still takes room in it."""

EMPTY = """
DO $$ DECLARE one regclass; BEGIN
    PERFORM pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    SET LOCAL session_replication_role = replica;
    FOR one IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('DELETE FROM %s', one);
    END LOOP;
    FOR one IN SELECT oid FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER SEQUENCE %s RESTART', one);
    END LOOP;
END $$"""
"""Ends whoever is still connected, and deletes every row, whatever refers to it."""

DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "autovacuum": "on"}
"""Options of a cluster that keeps its promises, for measuring."""


class Cluster:
    """A running server. Databases are made empty, or as copies of a template that is prepared once."""

    def __init__(self, socket_directory: Path) -> None:
        self._directory = socket_directory
        self._templates: dict[str, str] = {}
        self._free: dict[str, list[tuple[str, int]]] = {}
        self._made = 0
        self._lock = threading.Lock()

    def url(self, name: str) -> str:
        """The address of a database, as `open_database` takes it."""
        return f"postgresql://{USER}@/{name}?host={self._directory}"

    @contextmanager
    def database(self, prepare: Callable[[str], None] | None = None, key: str = "") -> Iterator[str]:
        """The URL of a database of one's own, dropped at the end, whoever is still connected.

        `prepare(url)` fills a template, once for each `key`; the database is then a copy of it.
        """
        template = self._template(prepare, key) if prepare else None
        name = self._create(template)
        try:
            yield self.url(name)
        finally:
            self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    @contextmanager
    def without_rows(self, prepare: Callable[[str], None], key: str) -> Iterator[str]:
        """As `database`, for whoever leaves the tables as they are: it is emptied, and taken again, which is quicker.

        `prepare` makes tables alone, and no rows.
        """
        free = self._free.setdefault(key, [])
        name, left = free.pop() if free else (self._create(self._template(prepare, key)), REUSES)
        try:
            yield self.url(name)
        finally:
            if left:
                with psycopg.connect(self.url(name)) as connection:
                    connection.execute(EMPTY)
                free.append((name, left - 1))
            else:
                self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def _template(self, prepare: Callable[[str], None], key: str) -> str:
        if not key:
            raise ValueError("a prepared database needs a key: copies are shared by those who name the same one")
        if key not in self._templates:
            name = self._create(None)
            prepare(self.url(name))
            self._templates[key] = name
        return self._templates[key]

    def _create(self, template: str | None) -> str:
        with self._lock:
            self._made += 1
            name = f"t{self._made}"
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template or "template0")
        return name

    def _execute(self, statement: LiteralString, *names: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextmanager
def cluster(programs: Path, changed: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Start a cluster with PostgreSQL's programs from a directory; stop and remove it at the end.

    `changed` are options in place of `OPTIONS`.
    """
    # A short path of its own: the name of a Unix socket is limited to 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="dais-pg-"))
    home.chmod(0o711)  # a server that is not root connects, too
    prefix = _as_other_user(home)
    try:
        data = home / "data"
        _run([*prefix, str(programs / "initdb"), *INITDB, "--pgdata", str(data)], home)
        options = [
            word for name, value in (OPTIONS | dict(changed or {})).items() for word in ("-c", f"{name}={value}")
        ]
        options += ["-c", f"unix_socket_directories={home}"]
        command = [*prefix, str(programs / "postgres"), "-D", str(data), *options]
        with _serving(command, home):
            yield Cluster(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _serving(command: list[str], home: Path) -> Iterator[None]:
    server = subprocess.Popen(command, cwd=home, env=_environment(), stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    said: collections.deque[str] = collections.deque(maxlen=50)
    ready = threading.Event()
    reader = threading.Thread(target=_listen, args=(server.stderr, said, ready), daemon=True)
    reader.start()
    try:
        if not ready.wait(START_SECONDS) or server.poll() is not None:
            raise RuntimeError("PostgreSQL did not start:\n" + "".join(said))
        yield
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown: connections are closed
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait(30)
        reader.join(5)
        server.stderr.close()


def _listen(stream: IO[str], said: collections.deque[str], ready: threading.Event) -> None:
    for line in stream:
        said.append(line)
        if "ready to accept connections" in line:
            ready.set()
    ready.set()  # it ended: whoever waits for it looks at its exit code


def _as_other_user(home: Path) -> list[str]:
    """The command prefix under which PostgreSQL runs: it refuses root, and dies with the test process."""
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig", "INT", "--"] if shutil.which("setpriv") else []
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    os.chown(home, user.pw_uid, user.pw_gid)
    ids = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    return ["setpriv", *ids, "--pdeathsig", "INT", "--"]


def _run(command: list[str], home: Path) -> None:
    result = subprocess.run(
        command, cwd=home, env=_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"TZ": "UTC"}
