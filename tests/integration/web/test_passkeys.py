"""Passkeys: made, shown, named and removed; and what attackers would show instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from dais.identity import create_user
from dais.identity.signing_in.resetting import reset_sign_in
from dais.kit.clock import ManualClock
from dais.kit.database import Database, UnitOfWork
from tests.support.passkeys import PRESENT, VERIFIED, Authenticator, text
from tests.support.signing_in import PASSWORD
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        running.services.url = running.url.replace("127.0.0.1", "localhost")
        yield running


@pytest.fixture
def device(site: Site) -> Authenticator:
    return Authenticator(site.services.url, "localhost")


async def ask(client: httpx2.AsyncClient, address: str, token: str = "", **body: Any) -> dict[str, Any]:
    answer = await client.post(f"{address}/ask", json=body, headers={"dais-form": token, "Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def send(client: httpx2.AsyncClient, address: str, answer: dict[str, Any], token: str = "") -> httpx2.Response:
    headers = {"dais-form": token, "Accept": "application/json"}
    return await client.post(address, json={"answer": answer}, headers=headers)


async def own_token(client: httpx2.AsyncClient) -> str:
    return form_token((await client.get("/settings/passkeys")).text)


async def add(site: Site, device: Authenticator, user_id: str | None = None) -> None:
    """Make a passkey of a user who has no password."""
    async with site.signed_in(user_id) as client:
        token = await own_token(client)
        options = await ask(client, "/settings/passkeys", token)
        made = await send(client, "/settings/passkeys", device.create(options), token)
        assert made.status_code == 201, made.text


async def test_a_passkey_signs_in_by_itself(site: Site, device: Authenticator) -> None:
    await add(site, device)
    async with site.browser() as client:
        options = await ask(client, "/sign-in/passkey")
        assert (options["rpId"], options["userVerification"]) == ("localhost", "required")
        assert options.get("allowCredentials", []) == []  # it tells nobody who has passkeys
        answer = await send(client, "/sign-in/passkey", device.get(options))
        assert (answer.status_code, answer.json()) == (200, {"to": "/"})
        page = (await client.get("/settings/passkeys")).text
        assert "passkey 1" in page
        assert "just now" in page


async def attempt(
    site: Site, device: Authenticator, code: str, *, status: int = 401, **changes: Any
) -> httpx2.AsyncClient:
    async with site.browser() as client:
        options = await ask(client, "/sign-in/passkey")
        answer = await send(client, "/sign-in/passkey", device.get(options, **changes))
        assert (answer.status_code, answer.json()["code"]) == (status, code), changes
        assert (await client.get("/jobs")).status_code == 401
        return client


async def test_what_attackers_show_instead(site: Site, device: Authenticator) -> None:
    await add(site, device)
    for changes in (
        {"origin": "https://evil.example"},
        {"origin": "http://localhost"},
        {"origin": site.url},  # 127.0.0.1 is another place
        {"rp_id": "evil.example"},
        {"challenge": "A" * 43},
        {"kind": "create"},
        {"flags": VERIFIED},  # nobody was there
        {"user": text(b"somebody else")},
        {"user": "%%%"},
        {"key": ec.generate_private_key(ec.SECP256R1())},
    ):
        await attempt(site, device, "bad-passkey", **changes)
    await attempt(site, device, "not-verified", flags=PRESENT)
    await attempt(site, Authenticator(site.services.url, "localhost"), "bad-passkey", user="")


async def test_nonsense_is_refused_and_not_a_fault(site: Site, device: Authenticator) -> None:
    await add(site, device)
    async with site.browser() as client:
        for nonsense in (
            {},
            {"id": 7},
            {"id": text(device.credential_id)},
            {"id": text(device.credential_id), "response": 3},
        ):
            await ask(client, "/sign-in/passkey")
            assert (await send(client, "/sign-in/passkey", nonsense)).status_code == 401
        for body in (b"[]", b"{", b'{"answer": 1}', b"\xff"):
            headers = {"content-type": "application/json"}
            assert (await client.post("/sign-in/passkey", content=body, headers=headers)).status_code == 400
        assert (await client.post("/sign-in/passkey", data={"answer": "x"})).status_code == 400


async def test_an_assertion_is_good_once_and_in_its_browser(
    site: Site, device: Authenticator, clock: ManualClock
) -> None:
    await add(site, device)
    async with site.browser() as client, site.browser() as other:
        options = await ask(client, "/sign-in/passkey")
        cookie = client.cookies["dais_challenge"]
        shown = device.get(options)
        assert (await send(other, "/sign-in/passkey", shown)).json()["code"] == "no-challenge"
        await ask(other, "/sign-in/passkey")  # a challenge of its own does not help it
        assert (await send(other, "/sign-in/passkey", shown)).json()["code"] == "bad-passkey"
        assert (await send(client, "/sign-in/passkey", shown)).status_code == 200
        other.cookies.set("dais_challenge", cookie)
        assert (await send(other, "/sign-in/passkey", shown)).json()["code"] == "no-challenge"
        options = await ask(other, "/sign-in/passkey")
        clock.advance(600)
        assert (await send(other, "/sign-in/passkey", device.get(options))).json()["code"] == "no-challenge"
        assert (await other.get("/jobs")).status_code == 401


async def test_a_counter_that_goes_back_ends_the_passkey(site: Site, device: Authenticator) -> None:
    await add(site, device)
    async with site.browser() as client:
        options = await ask(client, "/sign-in/passkey")
        assert (await send(client, "/sign-in/passkey", device.get(options, counter=9))).status_code == 200
    device.counter = 8
    await attempt(site, device, "passkey-copied")  # says 9 again
    await attempt(site, device, "passkey-copied", counter=50)
    async with site.signed_in() as client:
        assert "copied: not taken any more" in (await client.get("/settings/passkeys")).text


async def test_keys_that_do_not_count_are_fine(site: Site, device: Authenticator) -> None:
    await add(site, device)
    for _ in range(2):
        async with site.browser() as client:
            options = await ask(client, "/sign-in/passkey")
            assert (await send(client, "/sign-in/passkey", device.get(options, counter=0))).status_code == 200


async def test_as_the_second_factor_of_a_password(site: Site, device: Authenticator) -> None:
    world = site.world
    mia = await world.db.write(create_user, world.actor, "mia")
    others = Authenticator(site.services.url, "localhost")
    await add(site, others)
    await add(site, device, mia.id)
    await site.services.desk.set_password(world.actor, mia.id, PASSWORD, must_change=False)
    async with site.browser() as client:
        entered = await client.post("/sign-in", data={"name": "local.mia", "password": PASSWORD})
        assert entered.headers["location"] == "/sign-in/code"
        page = await client.get("/sign-in/code")
        assert "Use a passkey instead" in page.text
        token = form_token(page.text)
        place = "/sign-in/code/passkey"
        refused = await client.post(f"{place}/ask", json={}, headers={"dais-form": "0" * 64})
        assert refused.status_code == 403
        options = await ask(client, place, token)
        assert [one["id"] for one in options["allowCredentials"]] == [text(device.credential_id)]
        assert (await send(client, place, others.get(options), token)).status_code == 401
        options = await ask(client, place, token)
        first = await send(client, "/sign-in/passkey", device.get(options))  # a challenge for the second is none for it
        assert first.json()["code"] == "no-challenge"
        options = await ask(client, place, token)
        answer = await send(client, place, device.get(options, flags=PRESENT), token)
        assert answer.json() == {"to": "/"}
        assert (await client.get("/jobs")).status_code == 200


async def test_making_one_needs_the_form_the_password_and_ones_own_challenge(site: Site, device: Authenticator) -> None:
    world = site.world
    mia = await world.db.write(create_user, world.actor, "mia")
    await site.services.desk.set_password(world.actor, mia.id, PASSWORD, must_change=False)
    place = "/settings/passkeys"
    async with site.signed_in(mia.id) as client, site.signed_in() as other:
        token = await own_token(client)
        for headers, body, status in (
            ({}, {"password": PASSWORD}, 403),
            ({"dais-form": await own_token(other)}, {"password": PASSWORD}, 403),
            ({"dais-form": token}, {"password": "wrong"}, 401),
            ({"dais-form": token}, {}, 401),
            ({"dais-form": token, "Origin": "https://evil.example"}, {"password": PASSWORD}, 403),
        ):
            answer = await client.post(f"{place}/ask", json=body, headers={"Accept": "application/json", **headers})
            assert answer.status_code == status, (headers, body)
        options = await ask(client, place, token, password=PASSWORD)
        other.cookies.set("dais_challenge", client.cookies["dais_challenge"])
        stolen = await send(other, place, device.create(options), await own_token(other))
        assert stolen.status_code == 401  # and it is used up
        assert (await send(client, place, device.create(options), token)).json()["code"] == "no-challenge"
        for changes in ({"origin": "https://evil.example"}, {"kind": "get"}):
            options = await ask(client, place, token, password=PASSWORD)
            assert (await send(client, place, device.create(options, **changes), token)).json()["code"] == "bad-passkey"
        options = await ask(client, place, token, password=PASSWORD)
        assert (await send(client, place, device.create(options), token)).status_code == 201
        options = await ask(client, place, token, password=PASSWORD)
        assert options["excludeCredentials"][0]["id"] == text(device.credential_id)
        assert (await send(client, place, device.create(options), token)).json()["code"] == "passkey-exists"


async def test_the_last_way_in_is_kept(site: Site, device: Authenticator) -> None:
    async with site.signed_in() as client:
        token = await own_token(client)
        for one in (device, Authenticator(site.services.url, "localhost")):
            options = await ask(client, "/settings/passkeys", token)
            assert (await send(client, "/settings/passkeys", one.create(options), token)).status_code == 201
        page = (await client.get("/settings/passkeys")).text
        ids = [part.split("/")[0] for part in page.split('action="/settings/passkeys/')[1:] if "/remove" in part[:50]]
        assert len(ids) == 2
        named = {"token": token, "name": "laptop"}
        assert (await client.post(f"/settings/passkeys/{ids[0]}", data=named)).status_code == 303
        assert 'value="laptop"' in (await client.get("/settings/passkeys")).text
        remove = f"/settings/passkeys/{ids[0]}/remove"
        assert (await client.post(remove, data={"token": "x"})).status_code == 403
        assert (await client.post(remove, data={"token": token})).status_code == 303
        kept = await client.post(f"/settings/passkeys/{ids[1]}/remove", data={"token": token})
        assert kept.status_code == 409
        assert "last way" in kept.text
        assert (await client.post(remove, data={"token": token})).status_code == 404
    await attempt(site, device, "bad-passkey")  # the removed one


async def test_a_reset_takes_passkeys_away_too(site: Site, device: Authenticator) -> None:
    await add(site, device)

    def reset(uow: UnitOfWork) -> str:
        return str(reset_sign_in(uow, "local.joe", password=False).path)

    link = await site.world.db.write(reset)
    async with site.browser() as client:
        assert (await client.post(link)).headers["location"] == "/jobs"  # and to no second factor
        assert "You have no passkeys yet" in (await client.get("/settings/passkeys")).text


async def test_an_address_for_which_browsers_make_none(site: Site) -> None:
    site.services.url = "http://192.0.2.1:8765"
    async with site.signed_in() as client:
        assert "they need a name and https" in (await client.get("/settings/passkeys")).text
        assert "passkeys.js" not in (await client.get("/sign-in")).text
        answer = await client.post("/sign-in/passkey/ask", json={}, headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "no-passkeys-here")
