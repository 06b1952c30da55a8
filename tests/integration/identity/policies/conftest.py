"""An organization and who administers it."""

from __future__ import annotations

import pytest

from dais.identity import Actor, Organization
from dais.kit.database import Database
from tests.support.people import People


@pytest.fixture
def people(database: Database) -> People:
    return People(database)


@pytest.fixture
def acme(people: People) -> Organization:
    return people.organization("acme")


@pytest.fixture
def chief(people: People, acme: Organization) -> Actor:
    return people.chief("chief", acme.id)
