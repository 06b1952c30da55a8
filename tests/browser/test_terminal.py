"""The terminal of a job's page: a real shell in a real job, through everything that can happen to a page."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.cutting import CuttingProxy
from tests.support.installation import installation
from tests.support.screen import NARROW
from tests.support.tabs import signed_in

pytestmark = pytest.mark.anyio

ROWS = "#shell .xterm-rows"
BROKEN = ("WebSocket", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE")


async def typed(page: Page, line: str, wanted: str) -> None:
    """Type a line, and wait until its answer is on the screen."""
    await page.keyboard.type(line + "\n")
    await expect(page.locator(ROWS)).to_contain_text(wanted)


async def test_a_shell_outlives_its_page(browser: Browser, tmp_path: Path) -> None:
    with installation(tmp_path) as inst:
        proxy = CuttingProxy(lambda: inst.port)
        job = await asyncio.to_thread(inst.submit, "sleep", "600", name="here")
        await asyncio.to_thread(inst.wait_running, job)
        async with signed_in(browser, inst, proxy.url) as shown:
            page = shown.page
            await page.goto(f"/jobs/{job.id}?tab=terminal")
            await expect(page.locator("#shell-end")).to_be_visible()
            await typed(page, "mine=$((6*7)); echo it is $mine", "it is 42")
            await typed(page, "printf '\\033[38;2;200;80;0mtrue colour\\033[0m <b>no html</b>\\n'", "<b>no html</b>")

            await page.reload()
            await expect(page.locator(ROWS)).to_contain_text("it is 42")
            await typed(page, "echo still $mine", "still 42")

            second = await page.context.new_page()
            await second.set_viewport_size({"width": NARROW, "height": 900})
            await second.goto(f"/jobs/{job.id}?tab=terminal")
            await expect(second.locator(ROWS)).to_contain_text("still 42")
            await typed(second, 'echo "<$mine in $(stty size)>"', "<42 in ")
            await expect(page.locator(ROWS)).to_contain_text("<42 in ")
            narrow = await second.locator(ROWS).inner_text()
            await second.close()
            await page.bring_to_front()
            await page.locator("#shell").click()
            await typed(page, 'echo "(wide $(stty size))"', "(wide ")
            assert (
                narrow.split("<42 in ")[1].split(">")[0]
                not in (await page.locator(ROWS).inner_text()).split("(wide ")[1]
            )

            proxy.cut()
            await expect(page.locator("#shell-note")).to_have_text("")
            await expect(page.locator("#shell-end")).to_be_visible()
            await typed(page, "echo back $mine", "back 42")

            await page.evaluate("navigator.clipboard.writeText('echo two; \\necho lines\\n')")
            await page.keyboard.press("Control+Shift+V")
            await expect(page.locator(ROWS)).to_contain_text("echo lines")
            await expect(page.locator(ROWS)).not_to_contain_text("bash: two")
            await page.keyboard.press("Enter")
            await expect(page.locator(ROWS)).to_contain_text("lines")
            await page.keyboard.press("Control+Shift+X")
            await expect(page.locator("#shell-new")).to_be_focused()
            shown.complaints = [text for text in shown.complaints if not any(word in text for word in BROKEN)]
            await shown.check_looks("terminal")

            await page.get_by_role("button", name="New shell").click()
            await expect(page.locator("#shell-which")).to_be_visible()
            await typed(page, "echo another: $mine.", "another: .")
            await page.get_by_role("button", name="End").click()
            await expect(page.locator("#shell-note")).to_have_text("The shell was ended.")

            await page.reload()
            await expect(page.locator(ROWS)).to_contain_text("back 42")
            await asyncio.to_thread(inst.stop)
            await expect(page.locator("#shell-note")).to_contain_text("The connection is lost")
            await asyncio.to_thread(inst.start)
            await expect(page.locator("#shell-note")).to_contain_text("the server was started again")
            await page.get_by_role("button", name="New shell").click()
            await typed(page, "echo new: $mine.", "new: .")
            shown.complaints = [text for text in shown.complaints if not any(word in text for word in BROKEN)]
            await shown.check("terminal-new")
        proxy.close()
        assert inst.is_well()
