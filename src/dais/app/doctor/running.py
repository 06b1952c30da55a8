"""Checks of Dais itself: settings, database, environments, ports, and what runs."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import sqlite3

import dais
from dais.app.doctor.remedies import install
from dais.app.doctor.types import Answer, Check, Facts
from dais.data import require_store
from dais.engines.local.interpreter import NoInterpreter, find_interpreter
from dais.kit.database.open import check_url
from dais.kit.errors import DaisError

CONNECT_SECONDS = 5


def _settings(facts: Facts) -> Answer:
    if isinstance(facts.settings, DaisError):
        return Answer("bad", facts.settings.message, "Dais does not start", "correct the setting (docs/settings.md)")
    return Answer("fine", "every setting is understood")


def _database(facts: Facts) -> Answer | None:
    if isinstance(facts.settings, DaisError):
        return None
    url: str = facts.settings["database"].url
    if not url.startswith("postgresql"):
        return Answer("fine", f"SQLite {sqlite3.sqlite_version} in the data directory")
    try:
        check_url(url)
    except DaisError as error:
        return Answer("bad", error.message, "Dais does not start", "install the extra, or correct DAIS_DATABASE_URL")
    import psycopg

    try:
        with psycopg.connect(url.replace("+psycopg", ""), connect_timeout=CONNECT_SECONDS) as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        words = str(error).strip().splitlines()[:1] or [type(error).__name__]
        return Answer(
            "bad", f"PostgreSQL does not answer: {words[0]}", "Dais does not start", "correct DAIS_DATABASE_URL"
        )
    return Answer("fine", f"PostgreSQL {version // 10_000}.{version % 10_000}")


def _contents(facts: Facts) -> Answer | None:
    if isinstance(facts.settings, DaisError) or not (bucket := facts.settings["store"].bucket):
        return None
    try:
        require_store()
    except DaisError as error:
        return Answer("bad", error.message, "Dais does not start", "install the extra, or correct DAIS_STORE_BUCKET")
    return Answer("fine", f"contents are kept in the bucket {bucket!r}")


def _interpreter(facts: Facts) -> Answer | None:
    if isinstance(facts.settings, DaisError):
        return None
    local = facts.settings["local"]
    drop = facts.root and facts.isolation == "sandbox"
    try:
        found = find_interpreter(
            local.job_uid if drop else None,
            local.job_gid if drop else None,
            [local.interpreter] if local.interpreter else None,
        )
    except NoInterpreter as error:
        return Answer("bad", str(error), "no job can start", install("python3"))
    return Answer("fine", f"jobs of the image host have Python {found.version} ({found.path})")


def _environments(_: Facts) -> Answer:
    uv = shutil.which("uv")
    if uv is not None:
        return Answer("fine", f"environments are built with uv ({uv})")
    if importlib.util.find_spec("pip") is not None:
        return Answer("fine", "environments are built with pip; uv would be several times faster (pip install uv)")
    return Answer(
        "weak",
        "neither uv nor pip is found",
        "`--requirements` works only where the jobs' Python brings its own pip",
        "pip install uv",
    )


def _server(facts: Facts) -> Answer | None:
    found = facts.installation
    if found is None:
        return Answer(
            "weak",
            f"{facts.data_dir} belongs to another user",
            "what runs there cannot be asked; all of this is what you could do yourself",
            "sudo dais doctor --data-dir " + str(facts.data_dir),
        )
    if found.state == "running":
        return Answer("fine", f"version {found.version} runs at {found.url} (pid {found.pid})")
    if found.state == "stopped":
        return Answer("absent", "it does not run on this data directory; start it with `dais up`")
    return Answer("weak", f"it is {found.state} (pid {found.pid})", "it may not answer", "dais status")


def _supervisor(facts: Facts) -> Answer:
    found = facts.supervisor
    if found is None:
        running = facts.installation is not None and facts.installation.state == "running"
        return Answer(
            "weak" if running else "absent",
            "it does not run" + (", or is not yours" if running else ": `dais up` starts it"),
            "no job can be started until the server has started another" if running else "",
        )
    jobs = f"{found.running} container{'' if found.running == 1 else 's'}"
    if found.version != dais.__version__:
        return Answer(
            "weak",
            f"version {found.version or 'before 0.1'} runs (pid {found.pid}), this is {dais.__version__}",
            "it goes on working, without what is new",
            "dais down --kill-jobs, then dais up, when no job is to be kept",
        )
    return Answer("fine", f"version {found.version} runs {jobs} (pid {found.pid})")


def _port(facts: Facts) -> Answer | None:
    if isinstance(facts.settings, DaisError) or (facts.installation and facts.installation.state != "stopped"):
        return None
    host, port = facts.settings["server"].host, facts.settings["server"].port
    if not port:
        return None
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        return Answer("bad", f"{host}:{port}: {error.strerror}", "`dais up` does not start there", "dais up --port 0")
    return Answer("fine", f"{host}:{port} is free")


RUNNING = (
    Check("settings", "settings", _settings),
    Check("database", "database", _database),
    Check("contents", "contents", _contents),
    Check("interpreter", "Python", _interpreter),
    Check("environments", "environments", _environments),
    Check("port", "port", _port),
    Check("server", "server", _server),
    Check("supervisor", "supervisor", _supervisor),
)
