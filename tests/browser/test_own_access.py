"""The settings for working inside jobs, in a real browser: keys for SSH, and dotfiles."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.support.screen import screen
from tests.support.site import Site
from tests.support.ssh import public_key

pytestmark = pytest.mark.anyio

BASHRC = "\n# mine\nalias ll='ls -l'\n\texport <A>=1\n"


async def test_keys_for_ssh(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto("/settings")
        await page.get_by_role("link", name="SSH keys").click()
        await shown.check_looks("ssh-keys-empty")
        for number, label in (
            (1, ""),
            (2, "a desk with a label that is as long as somebody may think that it has to be"),
        ):
            await page.get_by_role("textbox", name="Public key").fill(public_key(number))
            await page.get_by_role("textbox", name="Label").fill(label)
            await page.get_by_role("button", name="Add the key").click()
            await expect(page.locator("tbody tr")).to_have_count(number)
        await shown.check_looks("ssh-keys")
        await page.get_by_role("textbox", name="Public key").fill("ssh-ed25519 AAAA")
        await page.get_by_role("button", name="Add the key").click()
        await expect(page.get_by_role("textbox", name="Public key")).to_have_attribute("aria-invalid", "true")
        shown.complaints = [text for text in shown.complaints if "status of 400" not in text]
        await shown.check_looks("ssh-keys-wrong")
        await page.get_by_role("button", name="Remove a desk").click()
        await expect(page.locator("tbody tr")).to_have_count(1)


async def test_dotfiles(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto("/settings/dotfiles")
        await shown.check_looks("dotfiles-empty")
        for path, content in ((".bashrc", BASHRC), ("bootstrap", "pip install -q black\n")):
            await page.get_by_role("textbox", name="Path in the home").fill(path)
            await page.get_by_role("textbox", name="Content").fill(content)
            await page.get_by_role("button", name="Make the file").click()
            await expect(page.get_by_role("link", name=path)).to_be_visible()
        await shown.check_looks("dotfiles")
        await page.get_by_role("link", name=".bashrc").click()
        await expect(page.get_by_role("textbox", name="Content")).to_have_value(BASHRC)
        await shown.check_looks("dotfile")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("link", name=".bashrc").click()
        await expect(page.get_by_role("textbox", name="Content")).to_have_value(BASHRC)
        await page.get_by_role("button", name="Remove .bashrc").click()
        await expect(page.get_by_role("link", name=".bashrc")).to_have_count(0)
