"""Fixtures that every kind of test shares."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support import postgres
from tests.support.database import clock, create_tables, database, sqlite_url
from tests.support.engines import engine, watcher
from tests.support.needs import needs_postgres
from tests.support.reruns import pytest_terminal_summary

if TYPE_CHECKING:
    from tests.support.containers import Daemons
from tests.support.slurm import Cluster, slurm_cluster

# Whoever runs the tests in the background of a shell has it ignored, and what they start would ignore it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("dais", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("dais")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Collect without looking for garbage, and never look through what was collected: each of several processes
    collects thousands of tests, in a third of the time less, and all that is made of them stays to the end.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


__all__ = ["clock", "database", "engine", "pytest_terminal_summary", "watcher"]  # what lives beside what it needs


@pytest.fixture(autouse=True)
def _no_installation_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the configuration, profile or data of whoever runs it."""
    for name in list(os.environ):
        if name.startswith("DAIS_"):
            monkeypatch.delenv(name)
    nowhere = tmp_path_factory.getbasetemp() / "no-installation"
    monkeypatch.setenv("DAIS_DATA_DIR", str(nowhere / "data"))
    monkeypatch.setenv("DAIS_CONFIG_DIR", str(nowhere / "config"))
    monkeypatch.setenv("DAIS_CACHE_DIR", str(nowhere / "cache"))


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests (`@pytest.mark.anyio`) run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture
def tmp_data_dir(tmp_path: Path) -> Path:
    """An empty data directory, as private as `dais up` makes it."""
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    return directory


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    """A throw-away PostgreSQL server for this session; skips where PostgreSQL is not installed."""
    with postgres.cluster(needs_postgres()) as running:
        yield running


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """A throw-away Slurm for this session; skips where it is not installed."""
    with slurm_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def daemons() -> Iterator[Daemons]:
    """Docker and Podman, each started when a test asks for it."""
    from tests.support.containers import Daemons  # most tests need nothing of it

    made = Daemons()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database, for `open_database`: empty, or with every table where the test asks for `database`, too.

    A test that uses it runs on SQLite and on PostgreSQL.
    """
    with_tables = "database" in request.fixturenames
    if request.param == "sqlite":
        with sqlite_url(tables=with_tables) as url:
            yield url
        return
    running: postgres.Cluster = request.getfixturevalue("postgres_cluster")
    with running.without_rows(create_tables, "tables") if with_tables else running.database() as url:
        yield url
