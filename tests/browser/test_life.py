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
  const last = log.querySelector(".rows").lastElementChild;
  return Math.abs(last.getBoundingClientRect().bottom - log.getBoundingClientRect().bottom) < 24;
}"""
LINES = "#log .line .text"


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
        await page.keyboard.type("irs")
        await page.wait_for_url("**/jobs?text=irs")
        await expect(page.locator("#jobs tbody tr")).to_have_count(1)
        await page.locator("main").press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/local/joe/jobs/*")
        await page.go_back()
        await expect(page.get_by_label("Name", exact=True)).to_have_value("irs")


async def test_everything_is_a_few_keys_away(browser: Browser, site: Site) -> None:
    job = await site.world.submit("sleep-forever", name="train")
    await site.world.state(job, "RUNNING")
    async with screen(browser, site) as shown:
        page = shown.page
        await page.keyboard.press("Control+k")
        await expect(page.locator(".palette li").first).to_be_visible()
        await shown.check("palette")
        await page.keyboard.type("train")
        await expect(page.locator(".palette li").first).to_contain_text("train")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/local/joe/jobs/*")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("kill")
        await expect(page.locator(".palette li").first).to_contain_text("Kill train")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/kill")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("dark")
        await expect(page.locator(".palette li").first).to_contain_text("Dark")
        await page.keyboard.press("Enter")
        await page.locator("[data-theme=dark]").wait_for()
        assert page.url.endswith("/kill")
        await page.keyboard.press("Control+k")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.get_by_title("Account:").click()
        await expect(page.get_by_placeholder("Find an account")).to_be_focused()  # the menu tells later that it is open
        await page.keyboard.type("joe")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/local/joe/jobs")
        await page.get_by_role("button", name="Fold").click()
        await expect(page.locator("[data-rail=icons]")).to_have_count(1)
        await shown.check("folded")


async def test_a_running_job_is_watched_using_what_it_uses(browser: Browser, site: Site) -> None:
    job = await site.world.submit("sleep-forever", name="train")
    await site.world.state(job, "RUNNING")
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(f"/jobs/{job}?tab=metrics")
        await expect(page.locator("#metrics-note")).to_contain_text("1 MiB · 1 process")
        await expect(page.locator(".plot canvas")).to_have_count(2)
        await shown.check("metrics-live")
        await site.world.kill(job)
        await site.world.finished(job)
        await page.reload()
        await expect(page.locator("#metrics-note")).to_contain_text("1 MiB · 1 process")
        await expect(page.locator(".plot canvas").first).to_be_visible()
    never_watched = await site.world.finished(await site.world.submit("true", name="short"))
    async with screen(browser, site) as shown:
        await shown.page.goto(f"/jobs/{never_watched.id}?tab=metrics")
        await expect(shown.page.locator("#metrics-note")).to_contain_text("nothing is remembered")
        await expect(shown.page.locator(".plot").first).to_be_hidden()


async def test_a_log_appears_as_it_is_printed(browser: Browser, site: Site) -> None:
    world = site.world
    job = await world.submit("print", "begins", ";", "sleep", "60", ";", "exit", "3", name="train")
    await world.state(job, "RUNNING")
    async with screen(browser, site, width=NARROW) as shown:
        page = shown.page
        await page.goto(f"/jobs/{job}")
        await expect(page.locator("#log")).to_contain_text("begins")
        await expect(page.locator("#lasting")).to_contain_text("just now")
        await site.prints(job, "\x1b[31mred\x1b[0m and <b>bold</b>\n10%\r")
        await expect(page.locator("#log")).to_contain_text("red and <b>bold</b>")
        await site.prints(job, "100%\n")
        await expect(page.locator(LINES)).to_have_text(["begins", "red and <b>bold</b>", "100%"])
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
        await expect(page.locator("#log-note")).to_have_text("301 lines")
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
        await expect(page.locator(LINES)).to_have_text(["one", "two", "three", "four"])
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
        await page.locator("#apply").click()
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


async def test_a_very_long_log_is_read_with_few_elements(browser: Browser, site: Site) -> None:
    lines = 450_000  # more than rows can be stacked in an element
    job = await site.world.submit("sleep-forever", name="long")
    await site.world.state(job, "RUNNING")
    for start in range(0, lines, 5_000):
        text = "".join(f"line {n} \x1b[36mloss\x1b[0m {'x' * (n % 50)}\n" for n in range(start, start + 5_000))
        await site.prints(job, text)
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(f"/jobs/{job}")
        await expect(page.locator("#log-note")).to_have_text("450,000 lines")
        await expect(page.locator(LINES).last).to_contain_text(f"line {lines - 1} ")
        await page.evaluate(GO_DOWN)
        seen = await page.evaluate("() => window.seen")
        assert seen["most"] < 500
        assert seen["wrong"] == []
        assert seen["rows"] > 1_000
        await expect(page.locator(LINES).last).to_contain_text(f"line {lines - 1} ")
        await page.locator("#log").press("Home")
        await expect(page.locator(LINES).first).to_contain_text("line 0 ")
        await page.get_by_label("Go to a line or a time").fill("123457")
        await page.get_by_label("Go to a line or a time").press("Enter")
        await page.wait_for_url("**#L123457")
        await expect(page.locator(".line.target .text")).to_contain_text("line 123456 ")
        await page.get_by_role("button", name="Wrap").click()
        await expect(page.locator(".line.target .text")).to_be_visible()
        await page.locator("#log").press("End")
        await page.wait_for_function(AT_END)
        assert shown.complaints == []


GO_DOWN = """async () => {
  const log = document.getElementById("log");
  const seen = window.seen = { most: 0, wrong: [], rows: 0 };
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const most = log.scrollHeight - log.clientHeight;
  for (let step = 0; step <= 60; step++) {
    log.scrollTop = (most * step) / 60;
    await frame();
    seen.most = Math.max(seen.most, log.querySelectorAll("*").length);
    for (const row of log.querySelectorAll(".line")) {
      const number = Number(row.querySelector(".n").textContent) - 1;
      const text = row.querySelector(".text").textContent;
      seen.rows += 1;
      if (text && !text.startsWith(`line ${number} `)) seen.wrong.push(text);
    }
  }
}"""


async def test_a_log_is_searched_and_its_lines_have_addresses(browser: Browser, site: Site) -> None:
    job = await site.world.submit("sleep-forever", name="sought")
    await site.world.state(job, "RUNNING")
    await site.prints(job, "".join(f"step {n} {'Needle' if n % 100 == 50 else 'hay'}\n" for n in range(1_000)))
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(f"/jobs/{job}")
        await expect(page.locator("#log-note")).to_have_text("1,000 lines")
        await page.locator("body").press("/")
        await page.keyboard.type("needle")
        found = page.locator("#log-found")
        await expect(found).to_have_text("1 of 10")
        await page.keyboard.press("Enter")
        await expect(found).to_have_text("2 of 10")
        await expect(page.locator(".line.now mark")).to_have_text("Needle")
        await expect(page.locator(".line.now .n")).to_have_text("151")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.press("Shift+Enter")
        await expect(found).to_have_text("10 of 10")
        await shown.check("log-search")
        await site.prints(job, "one more Needle\n")
        await expect(found).to_have_text("10 of 11")
        await page.get_by_role("button", name="Aa").click()
        await expect(found).to_have_text("none")
        await page.get_by_label("Find in the log").fill("Needle")
        await expect(found).to_contain_text("of 11")
        await page.locator(".line.now .n").click()
        address = page.url
        assert "q=Needle" in address
        assert "#L" in address
        await page.goto("/jobs")
        await page.goto(address)
        await expect(page.locator(".line.target")).to_be_visible()
        await expect(found).to_contain_text("of 11")
