"""A server over each database, and who asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dais.api import all_routes
from dais.kit.database import Database
from dais.sdk import Client
from tests.support.acme import Acme, Somebody, make_acme
from tests.support.commands import Commands
from tests.support.serving import Api, api


@pytest.fixture
def server(database: Database, tmp_path: Path) -> Iterator[Api]:
    with api(database, all_routes(), tmp_path) as running:
        yield running


@pytest.fixture
def acme(server: Api, database: Database) -> Acme:
    return make_acme(server, database)


@pytest.fixture
def client(server: Api) -> Iterator[Callable[[Somebody], Client]]:
    """A client of the server for somebody; closed at the end."""
    made: list[Client] = []

    def connect(who: Somebody) -> Client:
        made.append(Client(server.url, who.secret))
        return made[-1]

    yield connect
    for one in made:
        one.close()


@pytest.fixture
def dais(server: Api) -> Callable[[Somebody], Commands]:
    """Commands as somebody."""
    return lambda who: Commands(server.url, who.secret)
