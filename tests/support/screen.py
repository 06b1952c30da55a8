"""Pages in a real browser: opened, watched for complaints, and checked as a reader would see them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.support.site import Site

WIDE, NARROW, HEIGHT = 1280, 390, 900

AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
"""What axe-core looks for: WCAG 2.2 up to AA, and what it calls good practice."""

LOOKS: dict[tuple[Literal["light", "dark"], int], list[str]] = {
    ("dark", WIDE): ["color-contrast"],
    ("dark", NARROW): ["color-contrast", "target-size"],
    ("light", NARROW): [],
    ("light", WIDE): AXE_RULES,
}
"""How a page is looked at, and what axe-core looks for then: most rules do not depend on how a page is shown."""

AXE = """async (rules) => {
  const seen = await axe.run(document, { runOnly: rules, resultTypes: ["violations"] });
  return seen.violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => ({ id, help, html, summary: failureSummary })));
}"""

PATIENCE = 60.0
"""Seconds after which a page that is looked through is given up."""

STEP = 20_000
"""Milliseconds after which what a page should come to is given up: the machine may be busy."""
expect.set_options(timeout=STEP)

BUSY = "task queue exceeded allotted deadline"
"""What Chromium says of a machine that is busy, not of the page."""

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
        if kind in ("error", "warning") and not text.startswith(BUSY):
            self.complaints.append(f"{kind}: {text}")

    def _failed(self, address: str, why: str) -> None:
        if why != "net::ERR_ABORTED":  # the reader went on to another page before all of this one had come
            self.complaints.append(f"{address}: {why}")

    async def check(self, name: str, rules: list[str] = AXE_RULES) -> None:
        """Assert that the page complains of nothing, fits, and can be read by everybody; and take its picture.

        Pictures are kept where the variable SCREENSHOTS says.
        """
        directory = os.environ.get("SCREENSHOTS")
        if directory:
            await self.page.screenshot(path=f"{directory}/{name}.png", full_page=True)
        found: list[str] = await self.page.evaluate(_problems)
        if self._runs_scripts and rules:  # axe waits for timers, which a page without scripts has none of
            async with asyncio.timeout(PATIENCE):
                found += await self._barriers(rules)
        assert not found, f"{name}: " + "\n".join(found)
        assert not self.complaints, f"{name}: {self.complaints}"

    async def check_looks(self, name: str) -> None:
        """`check` the page in light and dark, wide and narrow."""
        for (theme, width), rules in LOOKS.items():
            await self.page.emulate_media(color_scheme=theme)
            await self.page.set_viewport_size({"width": width, "height": HEIGHT})
            await self.check(f"{name}-{theme}-{width}", rules)

    async def _barriers(self, rules: list[str]) -> list[str]:
        """What axe-core finds that keeps somebody out."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(_axe.axe_script)
        seen = await self.page.evaluate(AXE, rules)
        size = self.page.viewport_size
        if seen and size is not None:
            # What is under the bar at the bottom can be scrolled out of there: look at all of the page at once.
            height = await self.page.evaluate("document.documentElement.scrollHeight")
            await self.page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
            seen = await self.page.evaluate(AXE, rules)
            await self.page.set_viewport_size(size)
        return [
            f"{node['id']} ({node['help']}): {node['html'][:200]} {' '.join(node['summary'].split())}"
            for node in seen
            if not (node["id"] == "target-size" and node["html"].startswith(LINE_NUMBER))
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
    options: dict[str, Any] = {"color_scheme": theme, "viewport": {"width": width, "height": HEIGHT}}
    context = await browser.new_context(base_url=site.url, java_script_enabled=javascript, **options)
    context.set_default_timeout(STEP)
    try:
        shown = Screen(await context.new_page(), runs_scripts=javascript)
        if signed_in:
            await shown.page.goto(await site.link())
            await shown.page.get_by_role("button", name="Sign in").click()
            await shown.page.wait_for_url("**/jobs")
        yield shown
    finally:
        await context.close()
