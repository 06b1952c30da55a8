"""An installation of the first schema, with something in every table, is upgraded and goes on working."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dais.app.schema import newest_step
from dais.kit.database.migrate import upgrade
from tests.support.first_schema import OLD, SECRET, STATES, fill, rows_of
from tests.support.installation import Installation


@pytest.fixture
def old(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """An installation, not started, whose database has the first schema."""
    own = database_url.startswith("sqlite")  # in the data directory, which `dais up` hands over to the server's user
    made = Installation(tmp_path / "old", database_url="" if own else database_url)
    made.data.mkdir(mode=0o700)
    made.database_url = f"sqlite:///{made.data}/dais.db" if own else database_url
    upgrade(made.database_url, step=OLD)
    fill(made.database_url, made.data)
    yield made
    made.close()


def test_every_row_survives_an_upgrade_and_the_installation_works(old: Installation) -> None:
    before = rows_of(old.database_url)
    assert {name for name, rows in before.items() if not rows} == set(), "a table of the old schema has no row"
    members = before.pop("account_members")
    upgrade(old.database_url, backups=old.data / "backups")
    after = rows_of(old.database_url, {name: list(rows[0]) for name, rows in before.items()})
    assert after == before
    assert _administer(old.database_url, members), "who worked in an account is a member of its role admin"
    (copy,) = (old.data / "backups").iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert rows_of(f"sqlite:///{copy}") == before | {"account_members": members}

    old.config.mkdir(parents=True)
    (old.config / "profiles.toml").write_text(f'[default]\nurl = "http://localhost:1"\ntoken = "{SECRET}"\n')
    old.start()
    jobs = old.ask("GET", "/v1/jobs?limit=100").json["items"]
    assert {job["state"] for job in jobs} >= {"SUCCEEDED", "FAILED", "CANCELLED"}
    finished = {job["name"]: job["state"] for job in jobs}
    assert (finished["succeeded"], finished["failed"], finished["cancelled"]) == ("SUCCEEDED", "FAILED", "CANCELLED")
    for name in ("pending", "scheduled", "preparing", "running", "finishing"):
        job = next(job for job in jobs if job["name"] == name)
        ended = old.wait(job["id"])
        assert ended.state in ("SUCCEEDED", "FAILED"), name
        if name == "running":
            assert (ended.state, ended.reason) == ("FAILED", "node-lost")
    assert old.get(before["folders"][0]["id"], "kept.txt") == b"kept"
    assert old.run("true").number == 40 + len(STATES)
    assert old.is_well()


def _administer(url: str, members: list[dict[str, Any]]) -> bool:
    """Whether each of the former members of accounts can assume the account's predefined role `admin`."""
    columns = {"roles": ["id", "parent_id", "name"], "role_users": ["role_id", "user_id"]}
    found = rows_of(url, columns)
    admins = {role["parent_id"]: role["id"] for role in found["roles"] if role["name"] == "admin"}
    pairs = {(row["role_id"], row["user_id"]) for row in found["role_users"]}
    return all((admins[member["account_id"]], member["user_id"]) in pairs for member in members)


def test_only_the_newest_copies_are_kept_and_a_failed_copy_changes_nothing(tmp_path: Path) -> None:
    url, backups = f"sqlite:///{tmp_path}/dais.db", tmp_path / "backups"
    backups.mkdir()
    for number in range(9):
        (backups / f"before-000{number}.db").touch()
    upgrade(url, step=OLD)
    upgrade(url, backups=backups)
    assert len(list(backups.iterdir())) == 5
    assert any(path.stat().st_size for path in backups.iterdir())

    url = f"sqlite:///{tmp_path}/other.db"
    (tmp_path / "file").touch()
    upgrade(url, step=OLD)
    refused = Installation(tmp_path / "refused", database_url=url)
    refused.data.mkdir(mode=0o700)
    (refused.data / "backups").symlink_to(tmp_path / "file")
    said = refused.dais("up", "--port", "0", DAIS_DATABASE_URL=url)
    assert said.returncode == 1
    assert b"left as it is" in said.stderr
    with sqlite3.connect(tmp_path / "other.db") as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (OLD,)
    connection.close()


def test_an_older_dais_refuses_what_a_newer_one_wrote(own: Installation) -> None:
    own.stop()
    with sqlite3.connect(own.data / "dais.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    refused = own.dais("up", "--port", "0")
    assert refused.returncode == 1
    assert b"start that version, or restore the backup that it made before the upgrade" in refused.stderr
    assert newest_step() != OLD
