"""Requests signed with a pair: good ones are answered, and none that was changed, kept or copied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dais.api import Application, Authenticator, Services
from dais.api.rest import all_routes
from dais.identity import (
    Actor,
    NewPair,
    authenticate,
    bootstrap,
    create_keypair,
    create_token,
    create_user,
    disable_user,
    find_keypair,
    list_tokens,
    reseal_keypairs,
    revoke_token,
)
from dais.kit.clock import SECOND
from dais.kit.database import Database
from dais.kit.errors import Forbidden
from dais.kit.vault import Vault
from dais.wire.signatures import sign
from tests.support.serving import Answer, Api, serving


@dataclass(frozen=True)
class Signing:
    """A server, its vault, and a pair of its administrator."""

    api: Api
    vault: Vault
    actor: Actor
    pair: NewPair

    @property
    def now(self) -> int:
        return self.api.services.clock.now() // SECOND

    def headers(self, method: str, path: str, body: bytes | None = None, **changed: Any) -> dict[str, str]:
        path, _, query = path.partition("?")
        given: dict[str, Any] = {
            "key": self.pair.access_key,
            "secret": self.pair.secret,
            "created": self.now,
            "nonce": f"{method}{path}".ljust(16, "x"),
        } | changed
        return sign(
            given["key"], given["secret"], method, path, query, body, given["created"], given["nonce"]
        )  # fmt: skip

    def ask(self, method: str, path: str, body: bytes | None = None, **changed: Any) -> Answer:
        return self.api.ask(method, path, body, token=None, headers=self.headers(method, path, body, **changed))


@pytest.fixture
def signing(database: Database, tmp_path: Path) -> Iterator[Signing]:
    made = database.write_sync(bootstrap, "ann")
    assert made is not None
    vault = Vault(tmp_path / "keys")
    services = Services(
        db=database, clock=database.clock, data_dir=tmp_path, authenticator=Authenticator(database, vault)
    )
    actor = database.read_sync(authenticate, made.token.secret).actor
    pair = database.write_sync(create_keypair, actor, vault, label="robot")
    with serving(Application(all_routes(), services), services.stopping) as url:
        yield Signing(Api(url, services, made), vault, actor, pair)


def test_a_signed_request_is_answered(signing: Signing) -> None:
    answer = signing.ask("GET", "/v1/me")
    assert answer.status == 200, answer.body
    assert answer.json["name"] == "ann"
    answer = signing.ask("POST", "/v1/accounts", msgspec.json.encode({"name": "lab"}))
    assert answer.status == 201, answer.body


@pytest.mark.parametrize(
    "changed, code",
    [
        ({"secret": "x" * 43}, "bad-signature"),
        ({"key": "DAISAAAAAAAAAAAAAAAA"}, "key-unknown"),
        ({"nonce": "short"}, "bad-signature"),
    ],
)
def test_a_wrong_signature_is_refused(signing: Signing, changed: dict[str, Any], code: str) -> None:
    answer = signing.ask("GET", "/v1/me", **changed)
    assert (answer.status, answer.json["code"]) == (401, code)


@pytest.mark.parametrize("apart", [-301, 301])
def test_clocks_far_apart_are_told(signing: Signing, apart: int) -> None:
    answer = signing.ask("GET", "/v1/me", created=signing.now + apart)
    assert (answer.status, answer.json["code"]) == (401, "signature-expired")
    assert "clock" in answer.json["detail"]


def test_what_is_signed_cannot_be_changed(signing: Signing) -> None:
    body = msgspec.json.encode({"name": "lab"})
    headers = signing.headers("POST", "/v1/accounts", body)
    ask = signing.api.ask
    assert ask("POST", "/v1/accounts", b'{"name": "bad"}', token=None, headers=headers).json["code"] == "bad-body"
    assert ask("POST", "/v1/accounts?x=1", body, token=None, headers=headers).json["code"] == "bad-signature"
    assert ask("GET", "/v1/accounts", token=None, headers=headers).json["code"] == "bad-signature"
    other = headers | {"content-digest": headers["content-digest"].replace("=:", "=:A", 1)[:-2] + ":"}
    assert ask("POST", "/v1/accounts", body, token=None, headers=other).json["code"] == "bad-signature"
    bare = signing.headers("POST", "/v1/accounts", None, nonce="another-nonce-here")
    assert ask("POST", "/v1/accounts", body, token=None, headers=bare).json["code"] == "bad-body"
    assert [account["name"] for account in signing.ask("GET", "/v1/accounts").json["items"]] == ["ann"]


def test_a_signature_is_good_once(signing: Signing) -> None:
    body = msgspec.json.encode({"name": "lab"})
    headers = signing.headers("POST", "/v1/accounts", body)
    assert signing.api.ask("POST", "/v1/accounts", body, token=None, headers=headers).status == 201
    again = signing.api.ask("POST", "/v1/accounts", body, token=None, headers=headers)
    assert (again.status, again.json["code"]) == (401, "signature-replayed")


def test_a_pair_ends_as_a_token_does(signing: Signing, database: Database) -> None:
    listed = database.read_sync(list_tokens, signing.actor)
    assert (signing.pair.access_key, "robot") in {(token.access_key, token.label) for token in listed}
    database.write_sync(revoke_token, signing.actor, signing.pair.id)
    assert signing.ask("GET", "/v1/me").json["code"] == "token-revoked"


def test_a_pair_ends_with_its_user(signing: Signing, database: Database) -> None:
    joe = database.write_sync(create_user, signing.actor, "joe")
    pair = database.write_sync(create_keypair, signing.actor, signing.vault, user_id=joe.id)
    changed = {"key": pair.access_key, "secret": pair.secret}
    assert signing.ask("GET", "/v1/me", **changed).json["name"] == "joe"
    database.write_sync(disable_user, signing.actor, joe.id)
    assert signing.ask("GET", "/v1/me", **changed).json["code"] == "user-disabled"


def test_nobody_makes_a_pair_of_somebody_mightier(signing: Signing, database: Database) -> None:
    joe = database.write_sync(create_user, signing.actor, "joe")
    token = database.write_sync(create_token, signing.actor, user_id=joe.id)
    actor = database.read_sync(authenticate, token.secret).actor
    with pytest.raises(Forbidden):
        database.write_sync(create_keypair, actor, signing.vault, user_id=signing.actor.id)


def test_the_secret_is_sealed_and_sealed_anew(signing: Signing, database: Database) -> None:
    def sealed(uow: Any) -> str:
        return str(find_keypair(uow, signing.pair.access_key).sealed)

    before = database.read_sync(sealed)
    assert signing.pair.secret not in before
    signing.vault.rotate()
    assert database.write_sync(reseal_keypairs, signing.actor, signing.vault) == 1
    after = database.read_sync(sealed)
    assert after != before
    assert after.split(".")[1] == signing.vault.current
    assert signing.ask("GET", "/v1/me").status == 200
