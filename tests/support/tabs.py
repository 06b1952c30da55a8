"""Tabs of a real browser on a whole installation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, ViewportSize

from tests.support.installation import Installation
from tests.support.screen import HEIGHT, STEP, WIDE, Screen


@asynccontextmanager
async def signed_in(
    browser: Browser, inst: Installation, url: str = "", *, javascript: bool = True
) -> AsyncIterator[Screen]:
    """A browser of its own with one tab, signed in as the administrator; `url` where Dais is reached otherwise."""
    size: ViewportSize = {"width": WIDE, "height": HEIGHT}
    context = await browser.new_context(base_url=url or inst.url, viewport=size, java_script_enabled=javascript)
    context.set_default_timeout(STEP)
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    try:
        shown = Screen(await context.new_page(), runs_scripts=javascript)
        await shown.page.goto(inst.client().sign_in_link().path)
        await shown.page.get_by_role("button", name="Sign in").click()
        await shown.page.wait_for_url("**/jobs")
        yield shown
    finally:
        await context.close()
