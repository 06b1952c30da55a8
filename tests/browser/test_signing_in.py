"""The pages of signing in, and of what one sets for oneself, in light and dark, wide and narrow, by hand and by axe."""

from __future__ import annotations

import re

import pyotp
import pytest
from playwright.async_api import Browser, Page

from dais.kit.clock import SECOND
from tests.support.joan import OTHER, PASSWORD, demand, joan
from tests.support.screen import Screen, screen
from tests.support.site import Site

pytestmark = pytest.mark.anyio


async def looked_at(shown: Screen, name: str) -> None:
    """As every page is. What a form refused is no complaint."""
    shown.complaints = [text for text in shown.complaints if "the server responded with a status of 4" not in text]
    await shown.check_looks(name)


async def enter(page: Page, password: str = PASSWORD) -> None:
    await page.get_by_label("E-mail address or name").fill("local.joan")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def key_of(page: Page) -> str:
    found = re.search(r"((?:[A-Z2-7]{4} ){7}[A-Z2-7]{4})", await page.content())
    assert found is not None
    return found[1].replace(" ", "")


def code(site: Site, key: str) -> str:
    return str(pyotp.TOTP(key).at(site.world.clock.now() // SECOND))


@pytest.mark.slow
async def test_the_way_in(browser: Browser, site: Site) -> None:
    """Everything without JavaScript would be the same: no step needs it (see `test_without_javascript`)."""
    user_id = await joan(site)
    await demand(site)
    await site.services.desk.set_password(site.world.actor, user_id, OTHER)
    async with screen(browser, site, signed_in=False) as shown:
        page = shown.page
        await page.goto("/sign-in")
        await looked_at(shown, "sign-in-form")
        await enter(page)
        await page.get_by_text("do not belong together").wait_for()
        await looked_at(shown, "sign-in-wrong")
        await page.goto("/sign-in/forgotten")
        await looked_at(shown, "forgotten")
        await page.goto("/jobs?state=alive")
        await enter(page, OTHER)
        await page.get_by_role("heading", name="Set up a second factor").wait_for()
        await looked_at(shown, "device-key")
        key = await key_of(page)
        await page.get_by_role("link", name="I have stored the key").click()
        await page.get_by_role("img", name="QR code").wait_for()
        await looked_at(shown, "device-code")
        await page.get_by_label("Code", exact=True).fill(code(site, key))
        await page.get_by_label("Name of the device").fill("the telephone")
        await page.get_by_role("button", name="Set it up").click()
        await page.get_by_role("heading", name="Recovery codes").wait_for()
        await looked_at(shown, "recovery-codes")
        await page.get_by_role("link", name="I have stored them").click()
        await page.get_by_role("heading", name="Choose a new password").wait_for()
        await looked_at(shown, "new-password")
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_label("The same once more").fill(PASSWORD)
        await page.get_by_role("button", name="Set it and sign in").click()
        await page.wait_for_url("**/jobs?state=alive")
        site.world.clock.advance(30)
        for name in ("", "/security", "/sessions", "/keys"):
            await page.goto(f"/settings{name}")
            await looked_at(shown, f"settings{name.replace('/', '-')}")
        await page.get_by_label("Label").fill("the laptop")
        await page.get_by_role("button", name="Make a key").click()
        await page.get_by_role("heading", name="The new key").wait_for()
        await looked_at(shown, "settings-key-made")
        await page.goto("/settings/security/device?stored=yes")
        await looked_at(shown, "settings-device")
        await page.context.clear_cookies(name="dais_session")
        await page.goto("/sign-in")
        await enter(page)
        await page.get_by_role("heading", name="Second factor").wait_for()
        await looked_at(shown, "second-factor")
        await page.get_by_label("Code").fill(code(site, key))
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/jobs")
        _, path = await site.services.desk.invite(site.world.actor, "ann.lee@example.org", ["local.joe"])
        await page.context.clear_cookies()
        await page.goto(str(path))
        await looked_at(shown, "invitation")


async def test_without_javascript(browser: Browser, site: Site) -> None:
    """A second factor is set up, a password changed and a key made by forms alone."""
    await joan(site)
    async with screen(browser, site, signed_in=False, javascript=False) as shown:
        page = shown.page
        await page.goto("/settings/security")
        await enter(page)
        await page.get_by_role("link", name="Set a device up").click()
        key = await key_of(page)
        await page.get_by_role("link", name="I have stored the key").click()
        await page.get_by_label("Code", exact=True).fill(code(site, key))
        await page.get_by_label("Your password").fill(PASSWORD)
        await page.get_by_role("button", name="Set it up").click()
        await page.get_by_role("link", name="I have stored them").click()
        await page.get_by_label("Old password").fill(PASSWORD)
        await page.get_by_label("New password").fill(OTHER)
        await page.get_by_label("The same once more").fill(OTHER)
        await page.get_by_role("button", name="Change it").click()
        await page.goto("/settings/keys")
        await page.get_by_role("button", name="Make a key").click()
        assert "dais_user_" in await page.content()
