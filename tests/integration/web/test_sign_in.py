"""Getting into the pages and out of them: links, cookies, forms, and who may send them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dais import web
from dais.identity import SIGN_IN_LINK_SECONDS, create_token
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


async def test_a_link_is_shown_often_and_used_once(site: Site) -> None:
    path = await site.link()
    async with site.browser() as preview, site.browser() as client, site.browser() as thief:
        for _ in range(2):
            page = await preview.get(path)
            assert page.status_code == 200
            assert "Sign in</button>" in page.text
            assert "set-cookie" not in page.headers
        answer = await client.post(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
        assert (await client.get("/jobs")).status_code == 200
        again = await thief.post(path)
        assert again.status_code == 401
        assert "has been used" in again.text
        assert "set-cookie" not in again.headers
        assert (await thief.get("/jobs")).status_code == 401
        assert (await preview.get(path)).status_code == 401


async def test_an_expired_link_says_how_to_get_another(site: Site, clock: ManualClock) -> None:
    path = await site.link()
    clock.advance(SIGN_IN_LINK_SECONDS)
    async with site.browser() as client:
        for answer in (await client.get(path), await client.post(path)):
            assert answer.status_code == 401
            assert "dais open" in answer.text


async def test_the_cookie_is_for_these_pages_alone(site: Site) -> None:
    async with site.browser() as client:
        answer = await client.post(await site.link())
    cookie = answer.headers["set-cookie"]
    name, *attributes = (part.strip().lower() for part in cookie.split(";"))
    assert name.startswith("dais_session=")
    assert {"httponly", "samesite=lax", "path=/"} <= set(attributes)
    assert not any(part.startswith("domain") for part in attributes)
    assert "secure" not in attributes  # the test speaks plain HTTP


async def test_behind_tls_the_cookie_is_bound_to_the_host(site: Site) -> None:
    sent: list[dict[str, Any]] = []
    path = await site.link()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "server": ("dais.example.org", 443),
        "headers": [(b"host", b"dais.example.org"), (b"origin", b"https://dais.example.org")],
    }
    await web.app(site.services)(scope, receive, send)
    headers = dict(sent[0]["headers"])
    assert headers[b"set-cookie"].startswith(b"__Host-dais_session=")
    assert b"secure" in headers[b"set-cookie"].lower()


async def test_without_a_session_every_page_says_how_to_get_in(site: Site) -> None:
    async with site.browser() as client:
        for path in ("/jobs", "/jobs/1", "/jobs/1/log", "/jobs/1/kill"):
            page = await client.get(path)
            assert page.status_code == 401
            assert "<code>dais open</code>" in page.text
            assert "www-authenticate" not in page.headers
        assert (await client.get("/")).headers["location"] == "/jobs"


async def test_a_bearer_token_opens_no_page_and_one_in_an_address_is_revoked(site: Site) -> None:
    token = await site.world.db.write(create_token, site.world.actor)
    async with site.browser() as client:
        bearer = {"Authorization": f"Bearer {token.secret}"}
        assert (await client.get("/jobs", headers=bearer)).status_code == 401
        assert (await client.get("/v1/me", headers=bearer)).status_code == 200
        answer = await client.get("/jobs", params={"token": token.secret})
        assert answer.status_code == 401
        assert "has been revoked" in answer.text
        assert (await client.get("/v1/me", headers=bearer)).status_code == 401


async def test_a_token_makes_a_link(site: Site) -> None:
    token = await site.world.db.write(create_token, site.world.actor)
    async with site.browser() as client:
        made = await client.post("/v1/sign-in-links", headers={"Authorization": f"Bearer {token.secret}"})
        assert made.status_code == 201
        assert (await client.post(made.json()["path"])).status_code == 303
        assert (await client.post("/v1/sign-in-links")).status_code == 401  # a session is no token


async def test_signing_out_needs_the_form_and_forgets_the_browser(site: Site) -> None:
    async with site.signed_in() as client:
        token = form_token((await client.get("/jobs")).text)
        for wrong in ("", "0" * 64, token[:-1]):
            assert (await client.post("/sign-out", data={"token": wrong})).status_code == 403
        assert (await client.get("/jobs")).status_code == 200
        secret = client.cookies["dais_session"]
        answer = await client.post("/sign-out", data={"token": token})
        assert answer.status_code == 200
        assert "dais_session" not in client.cookies
        assert (await client.get("/jobs", headers={"Cookie": f"dais_session={secret}"})).status_code == 401


async def test_a_form_of_another_session_is_refused(site: Site) -> None:
    async with site.signed_in() as one, site.signed_in() as other:
        token = form_token((await one.get("/jobs")).text)
        assert (await other.post("/sign-out", data={"token": token})).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "{url}", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "{url}", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:1"},
    ],
)
async def test_what_another_origin_sends_is_refused(site: Site, headers: dict[str, str]) -> None:
    sent = {name: value.format(url=site.url) for name, value in headers.items()}
    path = await site.link()
    async with site.signed_in() as client:
        token = form_token((await client.get("/jobs")).text)
        for address in (path, "/sign-out", "/theme"):
            answer = await client.post(address, data={"token": token, "theme": "dark"}, headers=sent)
            assert answer.status_code == 403
            assert "another place" in answer.text
        assert (await client.get("/jobs")).status_code == 200
        assert (await client.post(path)).status_code == 303  # the refused ones did not use it up


async def test_the_theme_is_remembered_and_leads_nowhere_else(site: Site) -> None:
    async with site.browser() as client:
        answer = await client.post("/theme", data={"theme": "dark", "back": "/jobs?state=alive"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs?state=alive")
        assert 'data-theme="dark"' in (await client.get("/jobs")).text
        for back in ("https://evil.example", "//evil.example", "/\\evil.example", "/x\r\nSet-Cookie: a=b", "jobs"):
            answer = await client.post("/theme", data={"theme": "light", "back": back})
            assert answer.headers["location"] == "/"
        assert (await client.post("/theme", data={"theme": "pink"})).status_code == 400


async def test_forms_that_no_browser_sends_are_refused(site: Site) -> None:
    async with site.browser() as client:
        large = await client.post("/theme", content=b"theme=" + b"x" * 20_000)
        assert large.status_code == 413
        odd = await client.post("/theme", content=b"{}", headers={"Content-Type": "application/json"})
        assert odd.status_code == 400
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        bad = await client.post("/theme", content=b"theme=%FF&\xff", headers=form)
        assert bad.status_code == 400
