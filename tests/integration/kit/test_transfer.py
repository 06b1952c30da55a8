"""Moving a whole database between SQLite and PostgreSQL: every value survives, or nothing is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Boolean, Column, Float, Integer, LargeBinary, MetaData, Table, Text, create_engine

from dais.app.schema import ensure_schema
from dais.kit.database.ends import driver_url
from dais.kit.database.transfer import is_empty, move, sums_of
from dais.kit.errors import Conflict, DaisError, Invalid
from dais.kit.ids import new_id
from tests.support import postgres

every_kind = Table(
    "every_kind",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("parent", Integer),
    Column("text", Text),
    Column("flag", Boolean),
    Column("bytes", LargeBinary),
    Column("real", Float(53)),
)

rows = st.lists(
    st.fixed_dictionaries(
        {
            "parent": st.none() | st.integers(-(2**31), 2**31 - 1),
            "text": st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
            "flag": st.none() | st.booleans(),
            "bytes": st.none() | st.binary(),
            "real": st.none() | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
        }
    ),
    max_size=60,
)


@pytest.fixture
def target(postgres_cluster: postgres.Cluster) -> Iterator[str]:
    with postgres_cluster.database() as url:
        yield url


def insert(file: Path, table: str, **values: Any) -> None:
    with sqlite3.connect(file) as connection:
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(values.values()))
    connection.close()


def account(file: Path, name: str = "a") -> str:
    """An organization and an account in a database with our schema; the account's id."""
    organization, made = new_id(), new_id()
    insert(file, "organizations", id=organization, name=name, created_at=1)
    insert(
        file, "accounts", id=made, organization_id=organization, parent_id=None, name=name, full_name=name, created_at=1
    )
    return made


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows)
def test_every_value_comes_back_as_it_went(
    tmp_path: Path, postgres_cluster: postgres.Cluster, given_rows: list[dict[str, Any]]
) -> None:
    there, back = tmp_path / "there.db", tmp_path / "back.db"
    with postgres_cluster.database() as middle:
        for url in (f"sqlite:///{there}", middle, f"sqlite:///{back}"):
            engine = create_engine(driver_url(url))
            every_kind.metadata.create_all(engine)
            if url.endswith("there.db") and given_rows:
                with engine.begin() as connection:
                    connection.execute(every_kind.insert(), given_rows)
            engine.dispose()
        moved = move(f"sqlite:///{there}", middle)
        assert moved == move(middle, f"sqlite:///{back}") == sums_of(f"sqlite:///{back}")
    read = "SELECT * FROM every_kind ORDER BY id"
    with sqlite3.connect(there) as one, sqlite3.connect(back) as other:
        assert one.execute(read).fetchall() == other.execute(read).fetchall()
    one.close()
    other.close()
    there.unlink()
    back.unlink()


def test_numbers_go_on_where_they_were(tmp_path: Path, target: str) -> None:
    file = tmp_path / "dais.db"
    ensure_schema(f"sqlite:///{file}", tmp_path)
    made = account(file)
    with sqlite3.connect(file) as connection:
        organization = connection.execute("SELECT id FROM organizations").fetchone()[0]
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('jobs', 41)")
    connection.close()
    insert(file, "users", id=new_id(), organization_id=organization, name="u", account_id=made, created_at=1)
    ensure_schema(target, tmp_path)
    move(f"sqlite:///{file}", target)
    back = tmp_path / "back.db"
    ensure_schema(f"sqlite:///{back}", tmp_path)
    move(target, f"sqlite:///{back}")
    with sqlite3.connect(back) as connection:
        assert dict(connection.execute("SELECT name, seq FROM sqlite_sequence")) == {"users": 1, "jobs": 41}
    connection.close()


@pytest.mark.parametrize(
    "broken, code, words",
    [
        ({"name": "nul\0byte"}, "nul-in-text", "accounts.name of the row with id"),
        ({"name": "x" * 64}, "row-refused", "refuses a row of accounts"),
        ({"organization_id": "nobody"}, "broken-reference", "do not fit together"),
    ],
)
def test_what_postgresql_cannot_hold_is_named_and_nothing_is_kept(
    tmp_path: Path, target: str, broken: dict[str, str], code: str, words: str
) -> None:
    file = tmp_path / "dais.db"
    ensure_schema(f"sqlite:///{file}", tmp_path)
    account(file)
    values = {"id": new_id(), "organization_id": "", "name": "b", "full_name": "b", "created_at": 1} | broken
    with sqlite3.connect(file) as connection:
        values["organization_id"] = (
            values["organization_id"] or connection.execute("SELECT id FROM organizations").fetchone()[0]
        )
    connection.close()
    insert(file, "accounts", **values)
    ensure_schema(target, tmp_path)
    with pytest.raises(Invalid, match=words) as refused:
        move(f"sqlite:///{file}", target)
    assert refused.value.code == code
    assert is_empty(target)


def test_a_database_with_rows_or_another_schema_is_not_filled(tmp_path: Path, database_url: str) -> None:
    file = tmp_path / "source.db"
    ensure_schema(f"sqlite:///{file}", tmp_path)
    account(file)
    with pytest.raises(DaisError) as refused:
        move(f"sqlite:///{file}", database_url)
    assert refused.value.code == "schema-differs"
    ensure_schema(database_url, tmp_path)
    move(f"sqlite:///{file}", database_url)
    with pytest.raises(Conflict, match="has rows already"):
        move(f"sqlite:///{file}", database_url)
