"""Accounts over HTTP, with the limits that are their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dais.api import all_routes
from dais.identity import authenticate, create_token, create_user
from dais.kit.database import Database
from dais.sdk import Client
from dais.sdk.errors import Forbidden, Invalid
from tests.support.serving import Api, api


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Iterator[Api]:
    with api(database, all_routes(), tmp_path) as running:
        yield running


def test_limits_of_logs_are_set_shown_and_taken_back(server: Api) -> None:
    with Client(server.url, server.administrator.token.secret) as client:
        assert (client.accounts.get("ann").log_days, client.accounts.get("ann").log_bytes) == (None, None)
        changed = client.accounts.set("ann", {"log_days": 30, "log_bytes": 1 << 30})
        assert (changed.log_days, changed.log_bytes) == (30, 1 << 30)
        changed = client.accounts.set("ann", {"log_days": 0})
        assert (changed.log_days, changed.log_bytes) == (0, 1 << 30)
        assert client.accounts.get("ann") == changed
        assert list(client.accounts.list()) == [changed]
        changed = client.accounts.set("ann", {"log_days": None, "log_bytes": None})
        assert (changed.log_days, changed.log_bytes) == (None, None)
        with pytest.raises(Invalid, match="-1 bytes"):
            client.accounts.set("ann", {"log_bytes": -1})
        with pytest.raises(Invalid, match="log_dys"):
            client.accounts.set("ann", {"log_dys": 1})


def test_limits_of_interactive_jobs_are_set_shown_and_taken_back(server: Api) -> None:
    with Client(server.url, server.administrator.token.secret) as client:
        assert client.accounts.get("ann").interactive_jobs is None
        changed = client.accounts.set("ann", {"interactive_jobs": 3})
        assert changed.interactive_jobs == 3
        assert client.accounts.get("ann") == changed
        assert list(client.accounts.list()) == [changed]
        assert client.accounts.set("ann", {"interactive_jobs": None}).interactive_jobs is None
        with pytest.raises(Invalid, match="cannot have 2000 interactive jobs"):
            client.accounts.set("ann", {"interactive_jobs": 2000})
        organization = client.organizations.set(interactive_jobs=0)
        assert organization.interactive_jobs == 0
        assert client.organizations.get() == organization
        assert list(client.organizations.list()) == [organization]
        assert client.organizations.set(interactive_jobs="default").interactive_jobs is None


def test_only_administrators_set_them(server: Api, database: Database) -> None:
    actor = database.read_sync(authenticate, server.administrator.token.secret).actor
    mia = database.write_sync(create_user, actor, "mia")
    token = database.write_sync(create_token, actor, user_id=mia.id)
    with Client(server.url, token.secret) as client:
        assert client.accounts.get("mia").log_days is None
        with pytest.raises(Forbidden):
            client.accounts.set("mia", {"log_days": 1})
        with pytest.raises(Forbidden):
            client.accounts.set("mia", {"interactive_jobs": 2})
        with pytest.raises(Forbidden):
            client.organizations.set(interactive_jobs=2)
