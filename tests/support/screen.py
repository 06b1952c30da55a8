"""Pages in a real browser: opened, watched for complaints, and checked as a reader would see them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.support.site import Site

WIDE, NARROW = 1280, 390

AXE_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
"""What axe-core looks for: WCAG 2.2 up to AA, and what it calls good practice."""

PATIENCE = 60.0
"""Seconds after which a page that is looked through is given up."""

LINE_NUMBER = '<a class="n"'
"""A link in a log, as high as its line: WCAG 2.5.8 exempts what the height of other text's lines bounds."""

_axe = Axe()
_problems = (Path(__file__).parent / "page_problems.js").read_text()


class Screen:
    """One tab. `complaints` is everything that the browser had to say against the page."""

    def __init__(self, page: Page, *, runs_scripts: bool = True) -> None:
        self.page = page
        self._runs_scripts = runs_scripts
        self.complaints: list[str] = []
        page.on("console", lambda said: self._note(said.type, said.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("requestfailed", lambda request: self._failed(request.url, request.failure or ""))

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    def _failed(self, address: str, why: str) -> None:
        if why != "net::ERR_ABORTED":  # the reader went on to another page before all of this one had come
            self.complaints.append(f"{address}: {why}")

    async def check(self, name: str) -> None:
        """Assert that the page complains of nothing, fits, and can be read by everybody; and take its picture.

        Pictures are kept where the variable SCREENSHOTS says.
        """
        directory = os.environ.get("SCREENSHOTS")
        if directory:
            await self.page.screenshot(path=f"{directory}/{name}.png", full_page=True)
        found: list[str] = await self.page.evaluate(_problems)
        if self._runs_scripts:  # axe waits for timers, which a page without scripts has none of
            async with asyncio.timeout(PATIENCE):
                found += await self._barriers()
        assert not found, f"{name}: " + "\n".join(found)
        assert not self.complaints, f"{name}: {self.complaints}"

    async def _barriers(self) -> list[str]:
        """What axe-core finds that keeps somebody out."""
        seen = await _axe.run(self.page, options=AXE_RULES)
        size = self.page.viewport_size
        if seen.violations_count and size is not None:
            # What is under the bar at the bottom can be scrolled out of there: look at all of the page at once.
            height = await self.page.evaluate("document.documentElement.scrollHeight")
            await self.page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
            seen = await _axe.run(self.page, options=AXE_RULES)
            await self.page.set_viewport_size(size)
        return [
            f"{violation['id']} ({violation['help']}): {node['html'][:200]} {' '.join(node['failureSummary'].split())}"
            for violation in seen.response["violations"]
            for node in violation["nodes"]
            if not (violation["id"] == "target-size" and node["html"].startswith(LINE_NUMBER))
        ]


@asynccontextmanager
async def screen(
    browser: Browser,
    site: Site,
    *,
    theme: Literal["light", "dark"] = "light",
    width: int = WIDE,
    signed_in: bool = True,
    javascript: bool = True,
) -> AsyncIterator[Screen]:
    """A browser of its own with one tab, signed in by pressing the button of a sign-in link."""
    options: dict[str, Any] = {"color_scheme": theme, "viewport": {"width": width, "height": 900}}
    context = await browser.new_context(base_url=site.url, java_script_enabled=javascript, **options)
    context.set_default_timeout(20_000)
    try:
        shown = Screen(await context.new_page(), runs_scripts=javascript)
        if signed_in:
            await shown.page.goto(await site.link())
            await shown.page.get_by_role("button", name="Sign in").click()
            await shown.page.wait_for_url("**/jobs")
        yield shown
    finally:
        await context.close()
