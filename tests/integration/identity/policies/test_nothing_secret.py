"""After a tour of everything that makes a secret, none is in the database as it is, nor in the server's log."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from dais.api import all_routes
from dais.compute.notify.commands import new_signing
from dais.compute.secrets.commands import set_secret
from dais.identity import (
    Actor,
    authenticate,
    create_keypair,
    create_role,
    create_role_key,
    create_sign_in_link,
    create_token,
    create_user,
    redeem_sign_in_link,
)
from dais.identity.signing_in.forgotten import forgotten_link
from dais.identity.signing_in.invitations import invite
from dais.identity.signing_in.second_factors import begin_enrolment, new_recovery_codes
from dais.kit.database import Database
from dais.kit.database.ends import driver_url
from dais.kit.vault import KEY_FILE, Vault
from tests.support.serving import Api, api

VALUE = "correct horse battery staple"


def tour(database: Database, server: Api, directory: Path) -> list[str]:
    """Make one of each; all of them as they were told."""
    root: Actor = database.read_sync(authenticate, server.administrator.token.secret).actor
    vault = Vault(directory / KEY_FILE)
    write = database.write_sync
    joe = write(create_user, root, "joe", email="joe@example.org")
    role = write(create_role, root, "organization", root.organization_id, "watcher")
    pair = write(create_keypair, root, vault)
    link = write(create_sign_in_link, joe.id)
    entry = write(redeem_sign_in_link, write(create_sign_in_link, joe.id))
    forgotten = write(forgotten_link, "joe@example.org")
    seen = write(create_token, root, label="seen").secret
    write(set_secret, root, vault, "PASSWORD", VALUE.encode())
    made = [
        server.administrator.token.secret,
        write(create_token, root, user_id=joe.id).secret,
        write(create_token, root, narrowed=["job:get@*"]).secret,
        write(create_role_key, root, role).secret,
        pair.secret,
        link,
        entry.secret,
        write(invite, root, "mia@example.org", []).secret,
        forgotten.secret,
        write(begin_enrolment, vault, joe.id).secret,
        *write(new_recovery_codes, joe.id),
        write(new_signing, root, vault),
        seen,
        VALUE,
    ]
    refused = write(create_token, root, user_id=joe.id).secret
    for method, path, token in (
        ("GET", f"/v1/me?token={seen}", None),  # where others can read it: it is revoked
        ("GET", "/v1/me", seen),
        ("POST", "/v1/teams", refused),
        ("GET", "/v1/accounts", "dais_user_" + "x" * 43),
    ):
        body = b'{"name":"lab"}' if method == "POST" else None
        assert server.ask(method, path, body, token=token).status in (401, 403)
    return [*made, refused]


def test_nothing_secret_is_kept_as_it_is(
    database: Database, database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with api(database, all_routes(), tmp_path) as server:
        secrets = tour(database, server, tmp_path)
    assert all(len(secret) > 15 for secret in secrets)
    engine = create_engine(driver_url(database_url))
    rows: list[str] = []
    with engine.connect() as connection:
        for table in inspect(engine).get_table_names():
            rows += [f"{table}: {row!r}" for row in connection.execute(text(f'SELECT * FROM "{table}"'))]
    engine.dispose()
    assert [row for row in rows if row.startswith("audit: ") and "team:new" in row], "what was refused is written down"
    assert [row for row in rows if row.startswith("events: ")]
    log = [record.getMessage() + str(record.__dict__) for record in caplog.records]
    for secret in secrets:
        assert not [line for line in (*rows, *log) if secret in line or secret.replace("-", "") in line], secret[:12]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_file_itself_holds_none(database: Database, database_url: str, tmp_path: Path) -> None:
    """Not even in pages that rows have left."""
    with api(database, all_routes(), tmp_path) as server:
        secrets = tour(database, server, tmp_path)
    path = Path(database_url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    held = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    assert not [secret[:12] for secret in secrets if secret.encode() in held]
