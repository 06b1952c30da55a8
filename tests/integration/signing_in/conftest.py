"""A desk that lets people in, and a user with a password of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from dais.identity import Actor, SignInDesk, authenticate, bootstrap, create_user
from dais.kit.database import Database, UnitOfWork
from dais.kit.vault import KEY_FILE, Vault
from tests.support.signing_in import PASSWORD, QUICK, acting


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / KEY_FILE)


@pytest.fixture
def desk(database: Database, vault: Vault) -> SignInDesk:
    return SignInDesk(database, vault, QUICK)


@pytest.fixture
def root(database: Database) -> Actor:
    made = database.write_sync(bootstrap, "root")
    assert made is not None
    actor: Actor = database.read_sync(authenticate, made.token.secret).actor
    return actor


@pytest.fixture
async def joe(database: Database, desk: SignInDesk, root: Actor) -> Actor:
    """A user with a password of their own."""

    def make(uow: UnitOfWork) -> str:
        return create_user(uow, root, "joe", email="joe@example.org").id

    user_id = database.write_sync(make)
    await desk.set_password(root, user_id, PASSWORD, must_change=False)
    return acting(database, root, user_id)
