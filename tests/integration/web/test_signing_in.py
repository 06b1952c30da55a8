"""Signing in with name and password in the pages: each step is a form, and none of them can be gone around."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pyotp
import pytest

from dais.api.addresses import Addresses
from dais.kit.clock import SECOND, ManualClock
from dais.kit.database import Database
from tests.support.database import every_row
from tests.support.joan import OTHER, PASSWORD, demand, joan
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


@pytest.fixture
async def joe(site: Site) -> str:
    """The id of a user with a password."""
    return await joan(site)


async def enter(client: httpx2.AsyncClient, password: str = PASSWORD, **fields: str) -> httpx2.Response:
    return await client.post("/sign-in", data={"name": "local.joan", "password": password, **fields})


async def test_a_password_opens_the_page_that_was_asked_for(site: Site, joe: str) -> None:
    async with site.browser() as client:
        page = await client.get("/folders?text=a")
        assert page.status_code == 401
        assert 'name="next" value="/folders?text=a"' in page.text
        answer = await enter(client, next="/folders?text=a")
        assert (answer.status_code, answer.headers["location"]) == (303, "/folders?text=a")
        assert (await client.get("/jobs")).status_code == 200
        assert (await client.get("/sign-in?next=/folders")).headers["location"] == "/folders"


async def test_what_is_wrong_is_told_and_the_name_is_kept(site: Site, joe: str) -> None:
    async with site.browser() as client:
        answer = await enter(client, OTHER, next="/folders")
        assert answer.status_code == 401
        assert "do not belong together" in answer.text
        assert 'value="local.joan"' in answer.text
        assert 'value="/folders"' in answer.text
        assert OTHER not in answer.text
        assert "set-cookie" not in answer.headers
        for _ in range(4):
            await enter(client, OTHER)
        answer = await enter(client)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")


@pytest.mark.parametrize("after", ["https://evil.example", "//evil.example", "/\\evil.example", "/x\r\na: b", "jobs"])
async def test_next_leads_nowhere_else(site: Site, joe: str, after: str) -> None:
    async with site.browser() as client:
        assert (await enter(client, next=after)).headers["location"] == "/"
        assert (await client.get("/sign-in", params={"next": after})).headers["location"] == "/"


async def test_a_session_that_somebody_planted_is_not_the_one_that_one_gets(site: Site, joe: str) -> None:
    planted = "0" * 43
    for cookie in ("dais_session", "dais_signing_in"):
        async with site.browser() as client:
            client.cookies.set(cookie, planted)
            await enter(client)
            secrets = {item.value for item in client.cookies.jar if item.name == "dais_session"} - {planted}
            assert len(secrets) == 1
            stolen = {"Cookie": f"dais_session={planted}"}
            async with site.browser() as thief:
                assert (await thief.get("/jobs", headers=stolen)).status_code == 401


async def test_a_forged_cookie_opens_nothing(site: Site, joe: str) -> None:
    async with site.browser() as client:
        await enter(client)
        secret = client.cookies["dais_session"]
    for forged in ("", "x", secret[:-1], f"{secret[:-1]}{'a' if secret[-1] != 'a' else 'b'}", secret.swapcase(), joe):
        async with site.browser() as thief:
            assert (await thief.get("/jobs", headers={"Cookie": f"dais_session={forged}"})).status_code == 401


async def test_a_device_is_set_up_where_one_is_demanded(site: Site, joe: str, clock: ManualClock) -> None:
    await demand(site)
    async with site.browser() as client:
        answer = await enter(client, next="/folders")
        assert answer.headers["location"] == "/sign-in/device?next=%2Ffolders"
        assert (await client.get("/jobs")).status_code == 401
        page = await client.get(answer.headers["location"])
        assert '<svg class="qr"' not in page.text  # the key is stored first
        secret = key_of(page.text)
        page = await client.get("/sign-in/device?stored=yes&next=%2Ffolders")
        assert '<svg class="qr"' in page.text
        assert key_of(page.text) == secret
        fields = {"token": form_token(page.text), "code": "000", "device": "My <phone>"}
        again = await client.post("/sign-in/device?stored=yes&next=%2Ffolders", data=fields)
        assert again.status_code == 401
        assert "My &lt;phone&gt;" in again.text
        fields["code"] = pyotp.TOTP(secret).at(clock.now() // SECOND)
        done = await client.post("/sign-in/device?stored=yes&next=%2Ffolders", data=fields)
        assert done.status_code == 200
        assert len(re.findall(r"^[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}", done.text, re.MULTILINE)) >= 9
        assert 'href="/folders"' in done.text
        assert "dais_signing_in" not in client.cookies
        assert (await client.get("/jobs")).status_code == 200
    clock.advance(30)
    async with site.browser() as client:
        answer = await enter(client)
        assert answer.headers["location"] == "/sign-in/code"
        # It is at this step and at no other, and opens nothing.
        assert (await client.get("/sign-in/device")).headers["location"] == "/sign-in/code"
        assert (await client.get("/sign-in/password")).headers["location"] == "/sign-in/code"
        pending = client.cookies["dais_signing_in"]
        assert (await client.get("/jobs", headers={"Cookie": f"dais_session={pending}"})).status_code == 401
        page = await client.get("/sign-in/code")
        code = pyotp.TOTP(secret).at(clock.now() // SECOND)
        assert (await client.post("/sign-in/code", data={"code": code})).status_code == 403
        assert (await client.post("/sign-in/code", data={"code": code, "token": "0" * 64})).status_code == 403
        fields = {"token": form_token(page.text), "code": code}
        assert (await client.post("/sign-in/code", data=fields)).headers["location"] == "/"
        assert (await client.get("/jobs")).status_code == 200
        assert (await client.post("/sign-in/code", data=fields)).headers["location"] == "/sign-in"


async def test_a_password_of_somebody_else_is_changed_first(site: Site, joe: str) -> None:
    await site.services.desk.set_password(site.world.actor, joe, OTHER)
    async with site.browser() as client:
        assert (await enter(client, OTHER)).headers["location"] == "/sign-in/password"
        page = await client.get("/sign-in/password")
        token = form_token(page.text)
        for password, again, said in (
            ("lantern", "lantern", "8 to 256 characters"),
            ("password1", "password1", "guessed soon"),
            (PASSWORD, OTHER, "not the same"),
            (OTHER, OTHER, "choose another"),
        ):
            fields = {"token": token, "password": password, "again": again}
            answer = await client.post("/sign-in/password", data=fields)
            assert answer.status_code == 400
            assert said in answer.text
            assert f'value="{password}"' not in answer.text
        answer = await client.post("/sign-in/password", data={"token": token, "password": PASSWORD, "again": PASSWORD})
        assert answer.headers["location"] == "/"
        assert (await client.get("/jobs")).status_code == 200
    assert PASSWORD not in site.world.db.read_sync(every_row)


@pytest.mark.parametrize("path", ["/sign-in", "/sign-in/code", "/sign-in/device", "/sign-in/password"])
async def test_no_other_origin_signs_anybody_in(site: Site, joe: str, path: str) -> None:
    async with site.browser() as client:
        fields = {"name": "local.joan", "password": PASSWORD, "code": "000000"}
        for headers in ({"Origin": "https://evil.example"}, {"Origin": site.url, "Sec-Fetch-Site": "cross-site"}):
            assert (await client.post(path, data=fields, headers=headers)).status_code == 403
        if path != "/sign-in":
            assert (await client.get(path)).headers["location"] == "/sign-in"
            assert (await client.post(path, data=fields)).headers["location"] == "/sign-in"


def key_of(page: str) -> str:
    found = re.search(r"((?:[A-Z2-7]{4} ){7}[A-Z2-7]{4})", page)
    assert found is not None, page
    return found[1].replace(" ", "")


async def test_an_invitation_is_shown_often_and_accepted_once(site: Site) -> None:
    account = f"local.{site.world.actor.name}"
    _, path = await site.services.desk.invite(site.world.actor, "ann.lee@example.org", [account])
    assert path is not None
    fields = {"name": "ann-lee", "full_name": "Ann <Lee>", "password": PASSWORD, "again": PASSWORD}
    async with site.browser() as client, site.browser() as thief:
        for _ in range(2):
            page = await client.get(path)
            assert account in page.text
            assert 'value="ann-lee"' in page.text
        weak = await client.post(path, data=fields | {"password": "ann-lee-1", "again": "ann-lee-1"})
        assert weak.status_code == 400
        assert "guessed soon" in weak.text
        assert "Ann &lt;Lee&gt;" in weak.text
        assert (await client.post(path, data=fields, headers={"Origin": "https://evil.example"})).status_code == 403
        assert (await client.post(path, data=fields)).headers["location"] == "/jobs"
        assert (await client.get("/jobs")).status_code == 200
        for answer in (await thief.get(path), await thief.post(path, data=fields | {"name": "thief"})):
            assert answer.status_code == 401
            assert "has been used" in answer.text


async def test_a_forgotten_password_says_the_same_to_everybody(site: Site, joe: str) -> None:
    async with site.browser() as client:
        assert "sends no mail" in (await client.get("/sign-in/forgotten")).text
        answers = [
            await client.post("/sign-in/forgotten", data={"email": email})
            for email in ("joan@example.org", "nobody@example.org", "")
        ]
        assert len({(answer.status_code, answer.text) for answer in answers}) == 1


async def test_behind_a_trusted_proxy_with_tls_cookies_are_for_tls_alone(site: Site, joe: str) -> None:
    said = {"X-Forwarded-Proto": "https"}
    async with site.browser() as client:
        fields = {"name": "local.joan", "password": PASSWORD}
        plain = await client.post("/sign-in", data=fields, headers=said)  # anybody can say that
        assert plain.headers["set-cookie"].startswith("dais_session=")
        site.services.authenticator.addresses = Addresses(["127.0.0.1"])
        answer = await client.post("/sign-in", data=fields, headers=said)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-dais_session=")
        assert "secure" in cookie.lower()
        for other in ({}, {"X-Forwarded-Proto": "https, http"}):
            answer = await client.post("/sign-in", data=fields, headers=other)
            assert answer.headers["set-cookie"].startswith("dais_session=")
