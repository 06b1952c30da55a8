"""Pages that are open while things happen: they follow, say when they cannot, and lose nothing."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.support.screen import NARROW, screen
from tests.support.site import Site

pytestmark = pytest.mark.anyio

BROKEN = ("WebSocket", "ERR_CONNECTION_REFUSED")
"""What the browser says by itself when a connection breaks: not a fault of the page."""


AT_END = """() => {
  const log = document.getElementById("log");
  return log.scrollHeight - log.scrollTop - log.clientHeight < 2;
}"""


async def test_the_list_follows_and_holds_still_under_the_pointer(browser: Browser, site: Site) -> None:
    world = site.world
    async with screen(browser, site) as shown:
        page = shown.page
        job = await world.submit("sleep-forever", name="first")
        row = page.locator("#jobs tbody tr").filter(has_text="first")
        await expect(row).to_contain_text("running")
        await expect(page.locator("#no-jobs")).to_be_hidden()
        await row.hover()
        await world.submit("sleep-forever", name="second")
        await expect(page.get_by_role("button", name="show it")).to_be_visible()
        await expect(page.locator("#jobs tbody tr")).to_have_count(1)
        await world.kill(job)
        await expect(row).to_contain_text("cancelled")
        await page.mouse.move(1, 1)
        await expect(page.locator("#jobs tbody tr")).to_have_count(2)
        await expect(page.locator("#jobs tbody tr").first).to_contain_text("second")
        await shown.check("list-live")


async def test_the_list_is_used_from_the_keyboard(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown:
        page = shown.page
        for name in ("first", "second"):
            await site.world.state(await site.world.submit("sleep-forever", name=name), "RUNNING")
        await expect(page.locator("#jobs tbody tr")).to_have_count(2)
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await expect(page.locator("tr.chosen")).to_contain_text("first")
        await page.keyboard.press("k")
        await expect(page.locator("tr.chosen")).to_contain_text("second")
        await page.keyboard.press("/")
        await page.keyboard.type("first")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/jobs?*name=first*")
        await expect(page.locator("#jobs tbody tr")).to_have_count(1)
        await page.locator("body").press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/local/joe/jobs/*")
        await page.go_back()
        await expect(page.get_by_label("Name", exact=True)).to_have_value("first")


async def test_a_log_appears_as_it_is_printed(browser: Browser, site: Site) -> None:
    world = site.world
    job = await world.submit("print", "begins", ";", "sleep", "60", ";", "exit", "3", name="train")
    await world.state(job, "RUNNING")
    async with screen(browser, site, width=NARROW) as shown:
        page = shown.page
        await page.goto(f"/jobs/{job}")
        await expect(page.locator("#log")).to_contain_text("begins")
        await expect(page.locator("#facts")).to_contain_text("just now")
        await site.prints(job, "\x1b[31mred\x1b[0m and <b>bold</b>\n10%\r")
        await expect(page.locator("#log")).to_contain_text("red and <b>bold</b>")
        await site.prints(job, "100%\n")
        await expect(page.locator("#log .line")).to_have_text(["begins", "red and <b>bold</b>", "100%"])
        world.machine.advance(60)
        await expect(page.locator("#summary")).to_contain_text("failed")
        await expect(page).to_have_title("✕ train · Dais")
        await expect(page.get_by_role("link", name="Kill …")).to_have_count(0)
        assert "state-failed.svg" in str(await page.locator("link[rel=icon]").get_attribute("href"))
        await shown.check("log-live")


async def test_following_is_one_key(browser: Browser, site: Site) -> None:
    job = await site.world.submit("sleep-forever")
    await site.world.state(job, "RUNNING")
    await site.prints(job, "".join(f"line {number}\n" for number in range(300)))
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(f"/jobs/{job}")
        follow = page.get_by_role("button", name="Follow")
        await expect(follow).to_have_attribute("aria-pressed", "true")
        await page.wait_for_function(AT_END)
        await page.locator("#log").hover()
        await page.mouse.wheel(0, -600)
        await expect(follow).to_have_attribute("aria-pressed", "false")
        await site.prints(job, "news\n")
        await expect(page.locator("#log")).to_contain_text("news")
        assert not await page.evaluate(AT_END)
        await page.keyboard.press("f")
        await expect(follow).to_have_attribute("aria-pressed", "true")
        await page.wait_for_function(AT_END)
        await site.prints(job, "more news\n")
        await expect(page.locator("#log")).to_contain_text("more news")
        await page.wait_for_function(AT_END)
        await page.get_by_role("button", name="Times").click()
        await page.get_by_role("button", name="Wrap").click()
        await shown.check("log-with-times")


async def test_a_lost_connection_shows_and_mends_without_losing_a_line(browser: Browser, site: Site) -> None:
    job = await site.world.submit("sleep-forever")
    await site.world.state(job, "RUNNING")
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(f"/jobs/{job}")
        await site.prints(job, "one\ntwo\nthr")
        await expect(page.locator("#log")).to_contain_text("thr")
        await site.stop()
        await expect(page.locator("#connection")).to_contain_text("The connection is lost")
        await site.prints(job, "ee\nfour\n")
        await site.start()
        await expect(page.locator("#log")).to_contain_text("four")
        await expect(page.locator("#connection")).to_be_hidden()
        await expect(page.locator("#log .line")).to_have_text(["one", "two", "three", "four"])
        shown.complaints = [text for text in shown.complaints if not any(word in text for word in BROKEN)]
        await shown.check("mended")


async def test_a_session_that_ends_is_told(browser: Browser, site: Site) -> None:
    job = await site.world.submit("sleep-forever")
    await site.world.state(job, "RUNNING")
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(f"/jobs/{job}")
        other = await page.context.new_page()
        await other.goto("/jobs")
        await expect(page.locator("#connection")).to_be_hidden()
        await other.locator(".top .menu summary").click()
        await other.get_by_role("button", name="Sign out").click()
        await site.world.kill(job)
        await expect(page.locator("#connection")).to_contain_text("You are signed out")


async def test_everything_can_be_read_and_done_without_javascript(browser: Browser, site: Site) -> None:
    world = site.world
    job = await world.submit("print", "hello", ";", "sleep-forever", name="train")
    await world.state(job, "RUNNING")
    async with screen(browser, site, javascript=False) as shown:
        page = shown.page
        await page.get_by_label("State").select_option("RUNNING")
        await page.get_by_role("button", name="Filter").click()
        await page.get_by_role("link", name="train").click()
        await expect(page.locator("#log")).to_contain_text("hello")
        await expect(page.get_by_role("button", name="Follow")).to_have_count(0)
        await page.get_by_role("link", name="Kill …").click()
        await page.get_by_role("button", name="Kill train").click()
        await expect(page.locator("#summary")).to_be_visible()  # back on the job's page
        await world.finished(job)
        await page.reload()
        await expect(page.locator("#summary")).to_contain_text("cancelled")
        assert shown.complaints == []
