"""Signing in otherwise than by a password, in a real browser: passkeys, providers, machines that wait."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, CDPSession, Page

from dais.identity import NewProvider, create_provider
from tests.support.screen import Screen, screen
from tests.support.signing_in import PASSWORD
from tests.support.site import Site

pytestmark = pytest.mark.anyio


@pytest.fixture
async def named(site: Site) -> Site:
    """The site under a name, for browsers make passkeys for names alone."""
    site.services.url = site.url.replace("127.0.0.1", "localhost")
    return dataclasses.replace(site, url=site.services.url)


@asynccontextmanager
async def authenticator(page: Page) -> AsyncIterator[tuple[CDPSession, str]]:
    """A device of the browser's own making that keeps passkeys and checks its owner."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    made = await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    yield session, made["authenticatorId"]
    await session.detach()


async def sign_out(page: Page) -> None:
    await page.locator(".top .menu summary").click()
    await page.get_by_role("button", name="Sign out", exact=True).click()
    await page.get_by_role("heading", name="You are signed out").wait_for()


async def make_passkey(page: Page, name: str) -> None:
    await page.goto("/settings/passkeys")
    await page.get_by_label("Name", exact=True).fill(name)
    await page.get_by_role("button", name="Make a passkey").click()
    await page.get_by_role("button", name=f"Remove {name}").wait_for()


async def test_a_passkey_from_making_to_removing(browser: Browser, named: Site) -> None:
    async with screen(browser, named) as shown, authenticator(shown.page) as (session, device):
        page = shown.page
        await make_passkey(page, "laptop")
        await sign_out(page)
        await page.goto("/sign-in?next=/settings/passkeys")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await page.get_by_role("button", name="Remove laptop").wait_for()
        kept = await session.send("WebAuthn.getCredentials", {"authenticatorId": device})
        assert kept["credentials"][0]["rpId"] == "localhost"
        assert kept["credentials"][0]["signCount"] >= 1
        await named.services.desk.set_password(named.world.actor, named.world.actor.id, PASSWORD, must_change=False)
        await page.context.clear_cookies()
        await page.goto("/sign-in")
        await page.get_by_label("E-mail address or name").fill("local.joe")
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await page.get_by_role("heading", name="Second factor").wait_for()
        await shown.check("second-factor-or-passkey")
        await page.get_by_role("button", name="Use a passkey instead").click()
        await page.wait_for_url("**/jobs")
        await page.goto("/settings/passkeys")
        await page.get_by_label("Your password, to remove laptop").fill(PASSWORD)
        await page.get_by_role("button", name="Remove laptop").click()
        await page.get_by_text("You have no passkeys yet").wait_for()


async def test_an_owner_who_is_not_checked_does_not_get_in_by_a_passkey_alone(browser: Browser, named: Site) -> None:
    async with screen(browser, named) as shown, authenticator(shown.page) as (session, device):
        page = shown.page
        await make_passkey(page, "stick")
        await sign_out(page)
        await session.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
        await page.goto("/sign-in")
        button = page.get_by_role("button", name="Sign in with a passkey")
        async with page.expect_response("**/sign-in/passkey/ask"):
            await button.click()
        await page.wait_for_function("button => !button.disabled", arg=await button.element_handle())
        assert page.url.endswith("/sign-in")
        assert (await page.request.get("/jobs")).status == 401


async def fill(site: Site) -> str:
    """Two providers, and a machine that waits; its code."""
    world = site.world
    for name, label in (("lab", "the laboratory's own account"), ("google", "Google")):
        wanted = NewProvider(
            name=name,
            label=label,
            issuer=f"https://{name}.example.org",
            client_id="dais",
            organization_id=world.actor.organization_id,
        )
        await world.db.write(create_provider, world.actor, world.vault, wanted)
    async with site.browser() as machine:
        asked = {"machine": "gpu-node-with-a-long-name-17.cluster.example.org", "client": "dais 0.1.0"}
        begun = (await machine.post("/v1/login/device", json=asked)).json()
    return str(begun["user_code"])


async def test_every_page(browser: Browser, named: Site) -> None:
    code = await fill(named)
    async with screen(browser, named, signed_in=False) as stranger:
        await stranger.page.goto("/sign-in")
        await stranger.page.get_by_role("button", name="Sign in with a passkey").wait_for()
        await stranger.check_looks("ways-in")
    async with screen(browser, named) as shown, authenticator(shown.page):
        page = shown.page
        await page.goto("/device")
        await shown.check_looks("device-code")
        await page.get_by_label("Code").fill(code.lower())
        await page.get_by_role("button", name="Go on").click()
        await page.get_by_role("heading", name="Sign in gpu-node").wait_for()
        await shown.check_looks("device")
        await page.get_by_role("button", name="No", exact=True).click()
        await page.get_by_role("heading", name="was refused").wait_for()
        await shown.check_looks("device-refused")
        await page.goto("/settings/passkeys")
        await shown.check_looks("passkeys-none")
        await make_passkey(page, "laptop")
        await shown.check_looks("passkeys")


async def test_without_javascript_the_rest_works(browser: Browser, named: Site) -> None:
    code = await fill(named)

    async def check(shown: Screen, address: str, words: str, hidden: str) -> None:
        await shown.page.goto(address)
        await shown.page.get_by_text(words).first.wait_for()
        assert not await shown.page.get_by_role("button", name=hidden).is_visible()

    async with screen(browser, named, signed_in=False, javascript=False) as stranger:
        await check(stranger, "/sign-in", "Sign in with Google", "Sign in with a passkey")
    async with screen(browser, named, javascript=False) as shown:
        await check(shown, "/settings/passkeys", "makes no passkeys", "Make a passkey")
        await shown.page.goto(f"/device?code={code}")
        await shown.page.get_by_role("button", name="Yes, it is mine").click()
        await shown.page.get_by_role("heading", name="is signed in").wait_for()
