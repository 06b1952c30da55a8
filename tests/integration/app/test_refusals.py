"""What stops `dais up`: one clear line, exit code 1, no traceback, and nothing half done."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.support.needs import needs_root
from tests.support.operator import Operated, operated

__all__ = ["operated"]


WAYS: tuple[tuple[str, ...], ...] = ((), ("--detach",))
"""How it is started: in the foreground, and in the background, where the command waits for what the server says."""


def refused(
    operated: Operated,
    *arguments: str,
    said: str,
    remedy: str = "",
    ways: tuple[tuple[str, ...], ...] = ((),),
    environment: dict[str, str] | None = None,
) -> None:
    """It is refused with one line that says it, however it is started."""
    for how in ways:
        result = operated.dais("up", "--port", "0", *how, *arguments, **(environment or {}))
        assert result.returncode == 1, (result.stdout, result.stderr)
        assert said in result.stderr
        assert remedy in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert "Traceback" not in result.stderr
    assert operated.status()[0] == 3


def test_a_port_in_use(operated: Operated) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        said, remedy = f"port {port} on 127.0.0.1 is in use", "--port (0 picks a free one)"
        refused(operated, "--port", str(port), said=said, remedy=remedy, ways=WAYS)
    assert not (operated.data_dir / "dais.db").exists()
    assert not operated.config_dir.exists()


def test_an_address_that_others_can_reach(operated: Operated) -> None:
    refused(operated, "--host", "0.0.0.0", said="--insecure")
    assert not operated.data_dir.exists()


def test_an_address_that_others_can_reach_is_possible_when_said(operated: Operated) -> None:
    started = operated.up("--host", "0.0.0.0", "--insecure")
    assert socket.gethostname() in started["url"]


def test_a_file_in_the_place_of_the_data_directory(operated: Operated) -> None:
    operated.data_dir.write_text("")
    refused(operated, said="is not a directory")
    operated.data_dir.unlink()


def test_a_place_where_nothing_can_be_written(operated: Operated) -> None:
    place = Path("/proc/self/fdinfo/dais")
    result = operated.dais("up", "--data-dir", str(place))
    assert result.returncode == 1
    assert "cannot be written" in result.stderr
    assert "--data-dir" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("kib", [32, 200])
def test_a_full_disk(operated: Operated, kib: int) -> None:
    needs_root()
    operated.data_dir.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=700", "tmpfs", str(operated.data_dir)],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs to mount a small file system: {mounted.stderr.strip()}")
    try:
        refused(operated, said="full")
        assert not operated.config_dir.exists()
    finally:
        operated.close()
        subprocess.run(["umount", "--lazy", str(operated.data_dir)], check=True)


def test_a_database_that_another_process_has_locked(operated: Operated) -> None:
    operated.up()
    operated.dais("down")
    database = sqlite3.connect(operated.data_dir / "dais.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = DELETE").fetchall()
    database.execute("BEGIN EXCLUSIVE")
    try:
        refused(operated, said="locked")
    finally:
        database.execute("ROLLBACK")
        database.close()
    operated.up()


def test_a_file_that_is_no_database(operated: Operated) -> None:
    operated.data_dir.mkdir(mode=0o700)
    (operated.data_dir / "dais.db").write_bytes(b"no database " * 1000)
    refused(operated, said="is not a SQLite database", ways=WAYS)
    assert not operated.config_dir.exists()


def test_a_database_server_that_is_not_there(operated: Operated) -> None:
    url = f"postgresql://dais@/dais?host={operated.home}"
    refused(operated, said="DAIS_DATABASE_URL", ways=WAYS, environment={"DAIS_DATABASE_URL": url})


@pytest.mark.parametrize(
    "variable, value, said",
    [
        ("DAIS_SERVER_PROT", "1", "did you mean DAIS_SERVER_PORT"),
        ("DAIS_SERVER_PORT", "many", "DAIS_SERVER_PORT is 'many'"),
        ("DAIS_DATABASE_URL", "mysql://x", "mysql"),
        ("DAIS_CONFIG", "/nowhere/dais.toml", "/nowhere/dais.toml"),
    ],
)
def test_a_wrong_setting(operated: Operated, variable: str, value: str, said: str) -> None:
    refused(operated, said=said, environment={variable: value})


def test_a_wrong_configuration_file(operated: Operated) -> None:
    file = operated.home / "dais.toml"
    file.write_text("[server]\nprot = 1\n")
    refused(operated, "--config", str(file), said="did you mean port")
    file.write_text("[server\n")
    refused(operated, "--config", str(file), said="line 1")


def test_somebody_elses_data_directory(operated: Operated) -> None:
    if os.geteuid() == 0:
        pytest.skip("needs an ordinary user: root may use any directory")
    refused(operated, "--data-dir", "/usr", said="belongs to another user")
