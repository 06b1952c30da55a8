"""Which answers of a provider are believed, and what the server asks of it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from dais.kit.clock import SECOND, ManualClock
from tests.support.openid import CLIENT, CODE, Make, Provider, signed
from tests.support.site import Site
from tests.support.sso import SECRET, forged, names, provide, way_there

pytestmark = pytest.mark.anyio


def unsigned(provider: Provider, claims: dict[str, Any]) -> str:
    _, body, _ = signed(provider, claims).split(".")
    return f"{_text(json.dumps({'alg': 'none', 'kid': provider.kid}).encode())}.{body}."


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_public_key(provider: Provider, claims: dict[str, Any]) -> str:
    """The classic: the provider's public key as the secret of an HMAC."""
    _, body, _ = signed(provider, claims).split(".")
    head = _text(json.dumps({"alg": "HS256", "kid": provider.kid}).encode())
    digest = hmac.new(provider.key.as_pem(private=False), f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{_text(digest)}"


def by_client_secret(provider: Provider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256", "kid": provider.kid}, claims, OctKey.import_key(SECRET * 3))


def by_another_key(provider: Provider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": provider.kid}, claims, RSAKey.generate_key(2048))


def by_own_key(provider: Provider, claims: dict[str, Any]) -> str:
    """A key that the token itself brings."""
    key = RSAKey.generate_key(2048)
    return jwt.encode({"alg": "RS256", "jwk": key.as_dict(private=False), "kid": "mine"}, claims, key)


def changed(provider: Provider, claims: dict[str, Any]) -> str:
    head, _, signature = signed(provider, claims).split(".")
    return f"{head}.{signed(provider, claims | {'sub': 'other'}).split('.')[1]}.{signature}"


@pytest.mark.parametrize("make", [unsigned, by_public_key, by_client_secret, by_another_key, by_own_key, changed])
async def test_a_token_that_the_provider_did_not_sign(site: Site, forger: Provider, make: Make) -> None:
    await provide(site, forger.issuer)
    forger.make = make
    async with site.browser() as client:
        answer = await forged(client, forger, site)
        assert answer.status_code == 401
        assert "does not prove who you are" in answer.text
        assert (await client.get("/jobs")).status_code == 401
    assert await names(site) == {"joe"}


async def test_tokens_that_are_for_somebody_else_or_another_time(site: Site, forger: Provider) -> None:
    await provide(site, forger.issuer)
    now = site.world.clock.now() // SECOND
    async with site.browser() as client:
        for wrong in (
            {"nonce": "another"},
            {"nonce": None},
            {"aud": "another-client"},
            {"aud": [CLIENT, "another-client"]},  # without azp
            {"aud": [CLIENT, "another-client"], "azp": "another-client"},
            {"azp": "another-client"},
            {"aud": None},
            {"iss": "https://evil.example"},
            {"iss": forger.issuer + "/"},
            {"exp": now - 61},
            {"exp": None},
            {"iat": now + 120},
            {"nbf": now + 120},
            {"sub": None},
            {"sub": ""},
            {"sub": "x" * 256},
            {"sub": 7},
        ):
            answer = await forged(client, forger, site, **wrong)
            assert answer.status_code == 401, wrong
            assert (await client.get("/jobs")).status_code == 401
        assert await names(site) == {"joe"}
        assert (await forged(client, forger, site, aud=[CLIENT, "x"], azp=CLIENT, exp=now - 59)).status_code == 303


async def test_the_browser_that_began_ends_it_once(site: Site, forger: Provider) -> None:
    await provide(site, forger.issuer)
    async with site.browser() as client, site.browser() as other:
        there = await way_there(client)
        back = "/sign-in/with/lab/back"
        for state in ("", "x" * 43, there["nonce"]):
            answer = await client.get(back, params={"code": CODE, "state": state})
            assert answer.status_code == 401
            assert "not begun in this browser" in answer.text
        await way_there(other)  # with a challenge of its own
        assert (await other.get(back, params={"code": CODE, "state": there["state"]})).status_code == 401
        there = await way_there(client)
        forger.challenge = there["code_challenge"]
        assert (await forged(client, forger, site)).status_code == 303
        replay = await client.get(back, params={"code": CODE, "state": there["state"]})
        assert replay.status_code == 401
        assert not any(path == "/token" for path in forger.asked[forger.asked.index("/token") + 1 :])


async def test_a_challenge_that_was_tried_or_is_old_is_used_up(
    site: Site, forger: Provider, clock: ManualClock
) -> None:
    await provide(site, forger.issuer)
    async with site.browser() as client:
        there = await way_there(client)
        cookie = client.cookies["dais_challenge"]
        await client.get("/sign-in/with/lab/back", params={"code": CODE, "state": "wrong"})
        right = {"code": CODE, "state": there["state"]}
        client.cookies.set("dais_challenge", cookie)
        assert (await client.get("/sign-in/with/lab/back", params=right)).status_code == 401
        there = await way_there(client)
        clock.advance(600)
        right = {"code": CODE, "state": there["state"]}
        assert (await client.get("/sign-in/with/lab/back", params=right)).status_code == 401
        there = await way_there(client)
        mixed_up = {"code": CODE, "state": there["state"], "iss": "https://evil.example"}
        assert (await client.get("/sign-in/with/lab/back", params=mixed_up)).status_code == 401
    assert "/token" not in forger.asked


async def test_keys_are_rotated_and_asked_for_seldom(site: Site, forger: Provider, clock: ManualClock) -> None:
    await provide(site, forger.issuer)
    async with site.browser() as client:
        assert (await forged(client, forger, site)).status_code == 303
        forger.rotate("second")
        for _ in range(3):  # tokens of unknown keys do not make it ask each time
            assert (await forged(client, forger, site)).status_code == 401
        assert forger.asked.count("/jwks") == 1
        clock.advance(30)
        assert (await forged(client, forger, site)).status_code == 303
        assert (await forged(client, forger, site)).status_code == 303
        assert forger.asked.count("/jwks") == 2
        assert forger.asked.count("/.well-known/openid-configuration") == 1


async def test_a_provider_that_is_away_or_talks_nonsense(site: Site, forger: Provider) -> None:
    await provide(site, forger.issuer)
    place = "/.well-known/openid-configuration"
    good = json.loads(forger.answer(place, {})[2])

    def says(**changes: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, json.dumps(good | changes).encode()

    async with site.browser() as client:
        for answer in (
            (500, {}, b""),
            (200, {}, b"<html>"),
            (200, {}, b"[]"),
            (200, {}, b" " * (600 << 10)),
            (200, {"content-encoding": "gzip"}, b"\x1f\x8b"),
            (302, {"location": "http://127.0.0.1:9/"}, b""),
            says(issuer="https://evil.example"),
            says(token_endpoint="ftp://x/"),
            says(jwks_uri=None),
        ):
            forger.documents[place] = answer
            page = await client.get("/sign-in/with/lab")
            assert page.status_code == 503, answer
            assert "cannot be reached" in page.text
            assert page.headers["retry-after"] == "30"
        forger.documents = {}
        assert (await client.get("/sign-in/with/lab")).status_code == 303
        forger.documents["/token"] = (502, {}, b"bad gateway")
        assert (await forged(client, forger, site)).status_code in (401, 503)
        assert (await client.get("/sign-in")).status_code == 200  # other ways stay


async def test_internal_addresses_are_reached_only_where_that_was_said(site: Site, forger: Provider) -> None:
    await provide(site, forger.issuer.replace("http://", "https://"), internal=False)
    async with site.browser() as client:
        assert (await client.get("/sign-in/with/lab")).status_code == 503
    assert forger.asked == []


async def test_only_the_issuers_own_host_may_be_internal(site: Site, forger: Provider) -> None:
    await provide(site, forger.issuer)
    port = urlsplit(forger.issuer).port
    place = "/.well-known/openid-configuration"
    good = json.loads(forger.answer(place, {})[2])
    elsewhere = good | {"token_endpoint": f"http://127.0.0.2:{port}/token"}
    forger.documents[place] = (200, {}, json.dumps(elsewhere).encode())
    async with site.browser() as client:
        assert (await forged(client, forger, site)).status_code == 503
    assert "/token" not in forger.asked
