"""Every page in light and dark, wide and narrow: it fits, complains of nothing, and can be read."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from dais.engines.contract import STDERR
from dais.wire.spec import Resources
from tests.support.screen import screen
from tests.support.site import Site

pytestmark = pytest.mark.anyio

LONG = "python train.py --data /mnt/digits --out /mnt/out --learning-rate 0.0003 --epochs 40 --comment " + "x" * 80

LOG = "".join(
    [
        "\x1b[1mTraining\x1b[0m on 1,437 images, testing on 360\n",
        *(
            f"epoch {n:2}  loss \x1b[36m{2.3 / n:.4f}\x1b[0m  accuracy \x1b[32m{1 - 0.9 / n:.3f}\x1b[0m\n"
            for n in range(1, 9)
        ),
        "".join(f"\x1b[{30 + n}m colour {n} \x1b[0m\x1b[{90 + n}m bright {n} \x1b[0m" for n in range(8)) + "\n",
        "".join(f"\x1b[{40 + n}m ground {n} \x1b[0m\x1b[{100 + n}m bright {n} \x1b[0m" for n in range(8)) + "\n",
        "a line that is long: " + "0123456789 " * 40 + "\n",
    ]
)


BIG = Resources(cpu=8, mem=1 << 30)


async def fill(site: Site) -> str:
    """Jobs of every kind; the id of one that runs and has printed."""
    world = site.world
    await world.finished(await world.submit("print", "done", name="export-digits", tags={"stage": "data"}))
    await world.finished(
        await world.submit("exit", "137", name="a-name-as-long-as-names-may-be-in-this-platform-0123456789-abcde")
    )
    await world.finished(await world.submit("nonsense", LONG))
    running = await world.submit("sleep-forever", name="train")
    await world.state(running, "RUNNING")
    killed = await world.submit("sleep-forever", name="sweep-7")
    await world.state(killed, "RUNNING")
    await world.kill(killed)
    await world.finished(killed)
    await world.submit("sleep-forever", name="waits", resources=BIG)
    await site.prints(running, LOG)
    await site.prints(running, "a warning: the learning rate is high\n", STDERR)
    return running


@pytest.mark.slow
async def test_every_page(browser: Browser, site: Site) -> None:
    async with screen(browser, site, signed_in=False) as shown:
        page = shown.page
        await page.goto(await site.link())
        await shown.check_looks("sign-in")
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("heading", name="No jobs yet").wait_for()
        await shown.check_looks("empty")
        running = await fill(site)
        await page.get_by_role("link", name="train", exact=True).wait_for()
        await page.mouse.move(0, 0)
        await shown.check_looks("jobs")
        await page.get_by_text("Columns", exact=True).click()
        await shown.check_looks("columns")
        await page.goto("/jobs?state=alive&text=nothing")
        await page.get_by_text("Saved", exact=True).click()
        await shown.check_looks("none")
        await page.goto(f"/jobs/{running}")
        await page.get_by_text("a warning").wait_for()
        await shown.check_looks("job")
        for tab in ("apps", "overview", "metrics", "runs", "events"):
            await page.goto(f"/jobs/{running}?tab={tab}")
            await shown.check_looks(f"job-{tab}")
        await page.get_by_role("link", name="Kill …").click()
        await shown.check_looks("kill")
        await page.goto("/jobs/2")
        await shown.check_looks("failed")
        await page.goto("/jobs/2?tab=apps")
        await shown.check_looks("ended-apps")
        await page.goto("/jobs/3")
        await shown.check_looks("long")
        for name in ("cluster", "settings", "style"):
            await page.goto(f"/{name}")
            await shown.check_looks(name)
        await page.locator(".top .menu summary").click()
        await shown.check_looks("menu")
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await page.get_by_role("heading", name="You are signed out").wait_for()
        await shown.check_looks("signed-out")


async def test_pages_that_say_no(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown, screen(browser, site, signed_in=False) as stranger:
        for tab, path, heading in (
            (stranger, "/jobs", "You are not signed in"),
            (stranger, "/sign-in/used", "You are not signed in"),
            (shown, "/jobs/no-such-job", "Not found"),
            (shown, "/jobs?state=walking", "The request is wrong"),
        ):
            await tab.page.goto(path)
            assert await tab.page.get_by_role("heading", level=1).inner_text() == heading
            tab.complaints = [text for text in tab.complaints if "the server responded with a status of 4" not in text]
            await tab.check(heading.lower().replace(" ", "-"))


async def test_the_reader_chooses_light_or_dark(browser: Browser, site: Site) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    async with screen(browser, site, theme="dark") as shown:
        page = shown.page
        await page.goto("/jobs?state=alive")
        dark = await page.evaluate(ground)
        await page.get_by_text("joe", exact=True).click()
        await page.get_by_role("button", name="Light", exact=True).click()
        await page.wait_for_url("**/jobs?state=alive")
        light = await page.evaluate(ground)
        assert light != dark
        await page.get_by_text("joe", exact=True).click()
        await page.get_by_role("button", name="Dark", exact=True).click()
        await page.locator("[data-theme=dark]").wait_for()
        assert await page.evaluate(ground) == dark
