"""Slurm's accounting: a throw-away MariaDB and slurmdbd for a throw-away Slurm."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.needs import UNPRIVILEGED, needs_program
from tests.support.slurm import PATIENCE, Cluster, free_ports, slurm_cluster, until

_DATABASE, _NAME = "accounting", "slurm"
_CONF = """\
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge/socket
LogFile={place}/log/slurmdbd.log
PidFile={place}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser={name}
StoragePass={password}
StorageLoc={schema}
"""


class AccountedCluster(Cluster):
    """A Slurm that remembers how jobs ended when its controller has forgotten them, which it does at once."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._ports = free_ports(2, start=36800)  # not those that Slurm itself is given, and takes later
        self.changes = {
            "AccountingStorageType=accounting_storage/none": "AccountingStorageType=accounting_storage/slurmdbd\n"
            f"AccountingStorageHost=127.0.0.1\nAccountingStoragePort={self._ports + 1}\n"
            f"AccountingStoragePass={place}/munge/socket",
            "MinJobAge=300": "MinJobAge=2",
        }

    def begin_accounting(self) -> None:
        password = secrets.token_hex(16)
        self._begin_database(password)
        conf = self.place / "slurmdbd.conf"
        conf.touch(mode=0o600)
        conf.write_text(
            _CONF.format(
                host=socket.gethostname(),
                port=self._ports + 1,
                place=self.place,
                database=self._ports,
                name=_NAME,
                password=password,
                schema=_DATABASE,
            )
        )
        self._start("slurmdbd", "slurmdbd", "-D")
        until(self._knows_itself, "slurmdbd")

    def _begin_database(self, password: str) -> None:
        place = self.place / "database"
        place.mkdir(mode=0o700)
        os.chown(place, UNPRIVILEGED, -1)
        user = pwd.getpwuid(UNPRIVILEGED).pw_name
        words = ["--no-defaults", f"--datadir={place}", f"--tmpdir={place}", f"--user={user}"]
        make = ["mariadb-install-db", *words, "--skip-test-db", "--auth-root-authentication-method=socket"]
        subprocess.run(make, check=True, capture_output=True, timeout=PATIENCE)
        self._start(
            "mariadbd", "mariadbd", *words, f"--socket={place}/socket", f"--port={self._ports}",
            "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=64M",
        )  # fmt: skip
        client = ["mariadb", "--no-defaults", f"--socket={place}/socket", "--user=root"]
        statements = (
            f"CREATE DATABASE {_DATABASE}; GRANT ALL ON {_DATABASE}.* TO {_NAME}@'127.0.0.1' IDENTIFIED BY '{password}'"
        )
        until((place / "socket").exists, "mariadbd")
        subprocess.run([*client, f"--execute={statements}"], check=True, capture_output=True, timeout=PATIENCE)

    def _knows_itself(self) -> bool:
        try:
            self.run("sacctmgr", "--immediate", "add", "cluster", "dais")
        except AssertionError as error:
            return "already exists" in str(error) or "Nothing new added" in str(error)
        return True


@contextlib.contextmanager
def accounted_cluster() -> Iterator[Cluster]:
    """Such a Slurm; skips where its programs are missing."""
    needs_program("slurmdbd")
    needs_program("mariadbd", "mariadb-server-core")
    needs_program("mariadb", "mariadb-client-core")
    with slurm_cluster(AccountedCluster) as cluster:
        yield cluster
