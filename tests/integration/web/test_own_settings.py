"""What one sets for oneself in the pages: name, address, password, devices, keys, sessions; and who else does not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pyotp
import pytest

from dais.kit.clock import SECOND, ManualClock
from dais.kit.database import Database
from tests.support.database import every_row
from tests.support.joan import OTHER, PASSWORD, joan
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        await joan(running)
        yield running


@asynccontextmanager
async def entered(site: Site, password: str = PASSWORD) -> AsyncIterator[httpx2.AsyncClient]:
    async with site.browser() as client:
        client.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        answer = await client.post("/sign-in", data={"name": "local.joan", "password": password})
        assert answer.status_code == 303, answer.text
        yield client


async def send(client: httpx2.AsyncClient, path: str, **fields: str) -> httpx2.Response:
    """Send the form of a page, with its token."""
    token = form_token((await client.get("/settings")).text)
    return await client.post(path, data={"token": token, **fields})


FORMS = (
    "/settings",
    "/settings/security/password",
    "/settings/security/device",
    "/settings/security/devices/x/remove",
    "/settings/security/codes",
    "/settings/keys",
    "/settings/keys/x/end",
    "/settings/ssh-keys",
    "/settings/ssh-keys/x/remove",
    "/settings/dotfiles",
    "/settings/dotfiles/remove",
    "/settings/sessions/x/end",
)


@pytest.mark.parametrize("path", FORMS)
async def test_every_form_carries_what_no_other_page_knows(site: Site, path: str) -> None:
    fields = {"current": PASSWORD, "password": OTHER, "again": OTHER, "label": "x", "days": "7"}
    before = await site.world.db.read(every_row)
    async with entered(site) as client, entered(site) as other:
        token = form_token((await other.get("/settings")).text)
        for wrong in ({}, {"token": "0" * 64}, {"token": token}):
            assert (await client.post(path, data=fields | wrong)).status_code == 403
        mine = form_token((await client.get("/settings")).text)
        foreign = {"Origin": "https://evil.example"}
        assert (await client.post(path, data=fields | {"token": mine}, headers=foreign)).status_code == 403
    after = await site.world.db.read(every_row)
    assert before.count("$argon2id$") == after.count("$argon2id$") == 1
    async with site.browser() as stranger:
        assert (await stranger.post(path, data=fields)).status_code == 401


async def test_the_address_is_changed_with_the_password_only(site: Site) -> None:
    async with entered(site) as client:
        answer = await send(client, "/settings", email="thief@example.org", full_name="Joan")
        assert answer.status_code == 400
        assert "do not belong together" in answer.text
        answer = await send(client, "/settings", email="joan@example.org", full_name="Joan of Arc")
        assert answer.status_code == 303
        assert 'value="Joan of Arc"' in (await client.get("/settings")).text
        fields = {"email": "new@example.org", "full_name": "Joan", "current": PASSWORD}
        assert (await send(client, "/settings", **fields)).status_code == 303
    async with site.browser() as client:
        answer = await client.post("/sign-in", data={"name": "new@example.org", "password": PASSWORD})
        assert answer.status_code == 303


async def test_the_password_is_changed_and_other_browsers_are_signed_out(site: Site) -> None:
    async with entered(site) as client, entered(site) as other:
        fields = {"password": OTHER, "again": OTHER}
        assert (await send(client, "/settings/security/password", current=OTHER, **fields)).status_code == 400
        assert (await other.get("/jobs")).status_code == 200
        before = client.cookies["dais_session"]
        assert (await send(client, "/settings/security/password", current=PASSWORD, **fields)).status_code == 303
        assert client.cookies["dais_session"] != before
        assert (await client.get("/jobs")).status_code == 200
        assert (await other.get("/jobs")).status_code == 401
        old = {"Cookie": f"dais_session={before}"}
        async with site.browser() as thief:
            assert (await thief.get("/jobs", headers=old)).status_code == 401


async def test_a_device_is_set_up_and_removed_with_the_password(site: Site, clock: ManualClock) -> None:
    async with entered(site) as client:
        page = await client.get("/settings/security/device")
        found = re.search(r"((?:[A-Z2-7]{4} ){7}[A-Z2-7]{4})", page.text)
        assert found is not None
        code = str(pyotp.TOTP(found[1].replace(" ", "")).at(clock.now() // SECOND))
        fields = {"code": code, "device": "phone"}
        assert (await send(client, "/settings/security/device", **fields)).status_code == 400
        before = client.cookies["dais_session"]
        answer = await send(client, "/settings/security/device", current=PASSWORD, **fields)
        assert answer.status_code == 200
        assert "shown this once" in answer.text
        assert client.cookies["dais_session"] != before
        page = await client.get("/settings/security")
        assert "10 of 10" in page.text
        remove = re.search(r"/settings/security/devices/[0-9a-f-]{36}/remove", page.text)
        assert remove is not None
        assert (await send(client, remove[0])).status_code == 400
        assert "phone" in (await client.get("/settings/security")).text
        answer = await send(client, "/settings/security/codes", current=PASSWORD)
        assert "shown this once" in answer.text
        assert (await send(client, remove[0], current=PASSWORD)).status_code == 303
        assert "You have none" in (await client.get("/settings/security")).text


async def test_a_key_is_made_narrowed_shown_once_and_revoked(site: Site) -> None:
    async with entered(site) as client:
        answer = await send(client, "/settings/keys", label="laptop", days="7", narrowed="job:get@*\n\n")
        found = re.search(r"dais_user_\w{43}", answer.text)
        assert found is not None
        bearer = {"Authorization": f"Bearer {found[0]}"}
        page = await client.get("/settings/keys")
        assert found[0] not in page.text
        assert "job:get@" in page.text
        async with site.browser() as program:
            assert (await program.get("/v1/jobs", headers=bearer)).status_code == 200
            body = {"name": "x"}
            assert (await program.post("/v1/accounts", json=body, headers=bearer)).status_code == 403
            end = re.search(r"/settings/keys/[0-9a-f-]{36}/end", page.text)
            assert end is not None
            assert (await send(client, end[0])).status_code == 303
            assert (await program.get("/v1/jobs", headers=bearer)).status_code == 401
        wrong = await send(client, "/settings/keys", label="x", days="7", narrowed="job:fly@*")
        assert wrong.status_code == 400
        assert "there is no action" in wrong.text


async def test_browsers_are_listed_and_signed_out(site: Site) -> None:
    async with entered(site) as client, entered(site) as other:
        page = await client.get("/settings/sessions")
        assert page.text.count("Firefox, Linux") == 2
        assert "127.0.0.1" in page.text
        end = re.search(r"/settings/sessions/[0-9a-f-]{36}/end", page.text)
        assert end is not None
        async with site.signed_in() as administrator:  # somebody else's is not theirs to end
            token = form_token((await administrator.get("/settings")).text)
            await administrator.post(end[0], data={"token": token})
        assert (await other.get("/jobs")).status_code == 200
        assert (await send(client, end[0])).status_code == 303
        assert (await other.get("/jobs")).status_code == 401
