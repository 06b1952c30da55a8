"""The helpers of the tests themselves: a throw-away database is really there, and really one's own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from dais.kit.database import open_database
from tests.support import postgres
from tests.support.needs import cgroup_directory
from tests.support.slurm import free_ports


def test_database_url_opens_on_both_databases(database_url: str) -> None:
    database = open_database(database_url)
    try:
        assert database_url.startswith(database.dialect)
        assert database.read_sync(lambda uow: uow.dialect) == database.dialect
    finally:
        database.close()


def test_databases_are_apart_and_gone_afterwards(postgres_cluster: postgres.Cluster) -> None:
    with postgres_cluster.database() as first, postgres_cluster.database() as second:
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE only_here (n int)")
        with psycopg.connect(second) as connection:
            row = connection.execute("SELECT to_regclass('only_here')").fetchone()
        assert row == (None,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first)


def test_template_is_prepared_once(postgres_cluster: postgres.Cluster) -> None:
    prepared = []

    def prepare(url: str) -> None:
        prepared.append(url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE ready AS SELECT 7 AS n")

    for _ in range(2):
        with (
            postgres_cluster.database(prepare, key="ready") as url,
            psycopg.connect(url) as connection,
        ):
            assert connection.execute("SELECT n FROM ready").fetchone() == (7,)
    assert len(prepared) == 1


def test_a_database_that_is_taken_again_has_no_rows_and_counts_from_one(postgres_cluster: postgres.Cluster) -> None:
    def prepare(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE above (n serial PRIMARY KEY)")
            connection.execute("CREATE TABLE below (n int REFERENCES above)")

    urls = []
    for _ in range(2):
        with postgres_cluster.without_rows(prepare, "rows") as url:
            urls.append(url)
            still_there = psycopg.connect(url)
            made = still_there.execute("INSERT INTO above DEFAULT VALUES RETURNING n").fetchone()
            assert made == (1,)
            still_there.execute("INSERT INTO below VALUES (1)")
            assert still_there.execute("SELECT count(*) FROM above").fetchone() == (1,)
            still_there.commit()
        with pytest.raises(psycopg.OperationalError, match="terminat"):
            still_there.execute("SELECT 1")
    assert urls[0] == urls[1]


def test_no_test_sees_the_users_installation() -> None:
    seen = {name for name in os.environ if name.startswith("DAIS_")}
    assert seen == {"DAIS_CACHE_DIR", "DAIS_CONFIG_DIR", "DAIS_DATA_DIR"}
    assert not Path(os.environ["DAIS_DATA_DIR"]).exists()


def test_unknown_controller_is_nowhere() -> None:
    assert cgroup_directory("no-such-controller") is None


@pytest.mark.anyio
async def test_asynchronous_tests_run_on_asyncio(anyio_backend: str) -> None:
    assert anyio_backend == "asyncio"


def test_ports_are_given_to_one_test_of_the_machine_until_its_process_ends() -> None:
    """Two daemons' ports were the same where both tests looked before either daemon listened."""
    ours = free_ports(3)
    looks = "from tests.support.slurm import free_ports; print(free_ports(3)); print(free_ports(3))"
    theirs = subprocess.run([sys.executable, "-c", looks], check=True, capture_output=True, text=True).stdout.split()
    again = free_ports(3)
    found = [range(first, first + 3) for first in (ours, *map(int, theirs))]
    assert len({port for ports in found for port in ports}) == 9
    assert again not in found[0]
