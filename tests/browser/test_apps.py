"""The apps of real jobs in a real browser: their section of a job's page, and the way to their own origins."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from dais.wire.answers import JobDetail
from dais.wire.spec import Port
from tests.support.installation import DAIS, Installation, installation
from tests.support.reaching import door, run_app
from tests.support.screen import Screen
from tests.support.tabs import signed_in

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def inst() -> Iterator[Installation]:
    with installation() as running:
        yield running
        assert running.is_well()


@pytest.fixture(scope="module")
def web(inst: Installation) -> JobDetail:
    ports = (Port(name="web", port=8080), Port(name="metrics", port=9000, protocol="tcp"))
    return run_app(inst, "web", ports=ports)


def row(page: Page, name: str) -> Locator:
    """The row of an app."""
    return page.get_by_role("row").filter(has=page.locator("strong", has_text=name))


async def opened_by(page: Page, button: Locator) -> Page:
    """The tab that a button opens."""
    async with page.expect_popup() as popup:
        await button.click()
    return await popup.value


async def cookies_of(page: Page) -> dict[str, str]:
    """What the app of a page says that it was sent."""
    text = await page.locator("#cookies").inner_text()
    return dict(pair.split("=", 1) for pair in text.split("; ") if pair)


async def test_the_apps_of_a_job_are_listed_live_opened_and_explained(
    browser: Browser, inst: Installation, web: JobDetail
) -> None:
    async with signed_in(browser, inst) as shown:
        page = shown.page
        await page.goto(f"/jobs/{web.id}?tab=apps")
        await expect(page.get_by_role("table").get_by_role("row")).to_have_count(8)
        await expect(row(page, "web")).to_contain_text("running")
        await expect(row(page, "vscode")).to_contain_text("vscode needs code-server: use an image that has it")
        await expect(row(page, "vscode").get_by_role("button", name="Open")).to_have_count(0)
        await shown.check_looks("apps-running")

        await row(page, "web").get_by_role("button", name="Copy the address of web").click()
        url = await page.evaluate("navigator.clipboard.readText()")
        assert url == inst.client().jobs.address(web.id).url
        await row(page, "metrics").get_by_role("button", name="port-forward").click()
        line = await page.evaluate("navigator.clipboard.readText()")
        assert line == f"dais job port-forward {web.id[-8:]} 9000"
        for line in ("jupyter", "8080", "dais ssh"):
            await expect(page.locator(".shell", has_text=line).first).to_be_visible()

        # What nobody told the page of comes by itself.
        listen = "import socket\ns = socket.create_server(('127.0.0.1', 9000))\nwhile True: s.accept()"
        command = [*DAIS, "job", "exec", web.id, "--", "python3", "-c", listen]
        with subprocess.Popen(command, env=inst.environment, stdin=subprocess.DEVNULL) as listening:  # noqa: ASYNC220
            await expect(row(page, "metrics")).to_contain_text("running")
            listening.terminate()

        app = await opened_by(page, row(page, "web").get_by_role("button", name="Open web"))
        await app.wait_for_url(url)
        await app.close()

        broken = "import sys; print('no room for my files'); sys.exit(9)"
        write = ("sh", "-c", 'printf "%s" "$1" > jupyterlab.py', "sh", broken)
        await asyncio.to_thread(inst.dais, "job", "exec", web.id, "--", *write)
        failed = await opened_by(page, row(page, "jupyter").get_by_role("button", name="Open jupyter"))
        await expect(failed.get_by_role("alert")).to_contain_text("ended with exit code 9")
        await expect(failed.get_by_label("what jupyter printed")).to_have_text("no room for my files")
        wide = Screen(failed)
        await wide.check_looks("app-failed")
        await failed.close()
        await expect(row(page, "jupyter")).to_contain_text("It ended with exit code 9")
        await row(page, "jupyter").get_by_role("link", name="what it said").click()
        await expect(page.get_by_label("what jupyter printed")).to_have_text("no room for my files")

        terminal = await opened_by(page, row(page, "terminal").get_by_role("button", name="Open terminal"))
        await expect(terminal.locator("#shell-end")).to_be_visible()
        await terminal.close()


async def test_they_can_be_read_and_opened_without_scripts(
    browser: Browser, inst: Installation, web: JobDetail
) -> None:
    async with signed_in(browser, inst, javascript=False) as shown:
        page = shown.page
        await page.goto(f"/jobs/{web.id}?tab=apps")
        await expect(row(page, "web")).to_contain_text("looking")
        await page.get_by_role("link", name="Ask the job how they are").click()
        await expect(row(page, "web")).to_contain_text("running")
        app = await opened_by(page, row(page, "web").get_by_role("button", name="Open web"))
        await app.wait_for_url(inst.client().jobs.address(web.id).url)


async def test_a_port_is_opened_to_everybody_and_closed_after_saying_what_it_means(
    browser: Browser, inst: Installation, web: JobDetail
) -> None:
    anybody = door(inst, web, token=None)
    async with signed_in(browser, inst) as shown:
        page = shown.page
        await page.goto(f"/jobs/{web.id}?tab=apps")
        await row(page, "web").get_by_role("link", name="Open to everybody").click()
        await expect(page.get_by_role("main")).to_contain_text("without signing in and without a token")
        await shown.check_looks("expose")
        assert (await asyncio.to_thread(anybody.ask, "GET", "/")).status == 401
        await page.get_by_role("button", name="Open port 8080 to everybody").click()
        await expect(row(page, "web")).to_contain_text("everybody")
        assert (await asyncio.to_thread(anybody.ask, "GET", "/")).status == 200
        await shown.check_looks("apps-public")
        await row(page, "web").get_by_role("link", name="Close").click()
        await shown.check_looks("hide")
        await page.get_by_role("button", name="Close port 8080").click()
        await expect(row(page, "web")).to_contain_text("who may see the job")
        assert (await asyncio.to_thread(anybody.ask, "GET", "/")).status == 401
        # Where an app may be that gives a shell nothing is offered.
        await page.get_by_label("Port inside the job").fill("2201")
        await page.get_by_role("button", name="Show the port").click()
        await expect(page.get_by_role("main")).to_contain_text("That is not possible for a port")
        await expect(page.get_by_role("button", name="to everybody")).to_have_count(0)


async def test_an_app_has_an_origin_and_cookies_of_its_own(
    browser: Browser, inst: Installation, web: JobDetail
) -> None:
    """The hand-over, as a browser goes through it; and what neither side learns of the other."""
    job = await asyncio.to_thread(run_app, inst, "another")
    url, other = (f"{inst.client().jobs.address(one.id).url}page" for one in (web, job))
    async with signed_in(browser, inst) as shown:
        page, dais = await shown.page.context.new_page(), shown.page
        await page.goto(url)
        await page.wait_for_url(url)
        await expect(page.get_by_role("heading", name="The app")).to_be_visible()
        await expect(page.locator("#said")).to_have_text("again hello")
        assert await cookies_of(page) == {}
        await page.reload()
        assert await cookies_of(page) == {"mine": "1"}
        assert await page.evaluate("document.cookie") == "mine=1"

        second = await page.context.new_page()
        seen: list[str] = []
        second.on("request", lambda request: seen.append(request.url))
        answer = await second.goto(other)
        await second.wait_for_url(other)
        assert any("/open/" in one for one in seen), "the other job's app was opened without asking Dais"
        assert await cookies_of(second) == {}
        ours = {one["name"]: one for one in await page.context.cookies() if one["name"].startswith("dais_")}
        doors = [name for name in ours if name.startswith("dais_app_")]
        assert {name.removeprefix("dais_app_") for name in doors} == {web.id[-8:], job.id[-8:]}
        assert all(ours[name]["httpOnly"] and ours[name]["sameSite"] == "Lax" for name in (*doors, "dais_session"))
        async with second.expect_request(other) as asked:
            await second.reload()
        sent = (await (await asked.value).all_headers()).get("cookie", "")
        assert f"dais_app_{job.id[-8:]}=" in sent
        assert f"dais_app_{web.id[-8:]}" not in sent
        assert "dais_session" not in sent
        assert answer is not None

        # Its scripts reach neither Dais nor the other app, though the browser would send cookies there.
        for address in (f"{inst.url}/v1/jobs", f"{inst.url}/settings", other):
            reached = f"fetch({address!r}, {{credentials: 'include'}}).then(() => 'read', () => 'refused')"
            assert await page.evaluate(reached) == "refused"
        opened = f"""new Promise((done) => {{
            const socket = new WebSocket({other.replace("http", "ws").replace("page", "talk")!r});
            socket.onopen = () => done("open");
            socket.onerror = () => done("refused");
        }})"""
        assert await page.evaluate(opened) == "refused"
        await expect(page.locator("#said")).to_have_text("again hello")

        # Signing out shuts both, and cuts what is open.
        await dais.locator(".top .menu summary").click()
        await dais.get_by_role("button", name="Sign out", exact=True).click()
        await dais.get_by_role("heading", name="You are signed out").wait_for()
        await expect(page.locator("#said")).to_have_text("closed")
        for tab, address in ((page, url), (second, other)):
            await tab.goto(address)
            await expect(tab.get_by_role("heading", name="You are not signed in")).to_be_visible()
            assert tab.url.startswith(f"{inst.url}/open/")
