"""The submit form in a browser: it tells what is wrong where it stands, what a terminal would be told, and submits."""

from __future__ import annotations

import shlex

import pytest
from playwright.async_api import Browser, expect

from dais.wire.spec import Resources
from tests.support.screen import screen
from tests.support.site import Site

pytestmark = pytest.mark.anyio


async def test_every_page(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown:
        page = shown.page
        await site.folder("digits")
        await page.goto("/submit")
        await shown.check_looks("submit-empty")
        await page.get_by_label("What it runs").fill("python train.py --epochs 3 | tee log")
        await page.get_by_label("Name", exact=True).fill("Not a name")
        await page.get_by_label("Folder 1").fill("digit")
        await page.get_by_label("Path in the job 1").fill("/data")
        await page.get_by_label("CPU").fill("many")
        await page.get_by_label("Memory").fill("4")
        await expect(page.locator(".field.wrong")).to_have_count(2)
        await shown.check_looks("submit-wrong")
        await page.get_by_label("Name", exact=True).fill("train")
        await page.get_by_label("CPU").fill("2")
        await page.get_by_label("Memory").focus()
        await expect(page.locator(".row.wrong")).to_contain_text("there is no folder 'digit'")
        await shown.check_looks("submit-no-folder")
        await page.get_by_label("Folder 1").fill("digits")
        await page.get_by_label("Memory").focus()
        await expect(page.locator("#state")).to_have_text("It can be submitted.")
        await page.get_by_text("As YAML, for").click()
        await shown.check_looks("submit-right")


async def test_a_job_is_submitted_and_again_with_changes(browser: Browser, site: Site) -> None:
    await site.folder("digits")
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto("/jobs")
        await page.get_by_role("link", name="Submit", exact=True).click()
        command = page.get_by_label("What it runs")
        await command.press_sequentially("print 'a  b'")
        await expect(page.locator("#words code")).to_have_text(["print", "a  b"])
        await page.get_by_label("Memory").fill("64Mi")
        await page.get_by_label("CPU").fill("0.1")
        await page.get_by_role("button", name="Add a variable").click()
        await page.get_by_label("Variable 2").fill("MODE")
        await page.get_by_label("Value 2").fill("one\ntwo")
        await page.get_by_label("Folder 1").fill("digits")
        await page.get_by_label("Path in the job 1").fill("/data")
        line = page.locator("#line pre")
        await expect(line).to_contain_text("/data:ro")
        words = shlex.split(await line.inner_text())
        assert words == [
            *("dais", "job", "submit", "--cpu", "0.1", "--mem", "64Mi", "--data", "digits:/data:ro"),
            *("--env", "MODE=one\ntwo", "--", "print", "a  b"),
        ]
        await page.get_by_role("button", name="Submit the job").click()
        await expect(page.locator("#summary")).to_contain_text("succeeded")
        await expect(page.locator("#log")).to_contain_text("a  b")
        await page.get_by_role("link", name="Submit again").click()
        await expect(command).to_have_value("print 'a  b'")
        await expect(page.get_by_label("Value 1", exact=True)).to_have_value("one\ntwo")
        await expect(page.get_by_label("Path in the job 1")).to_have_value("/data")
        await command.fill("")
        await command.press_sequentially("print c\n")
        await expect(page.get_by_label("As a script")).to_be_checked()
        await shown.check("submit-again")
        await page.get_by_label("As it is").check()
        await command.fill("print c")
        await command.press("Control+Enter")
        await expect(page.locator("#log")).to_contain_text("c")
    spec = (await site.world.job("2")).spec
    assert spec.command == ("print", "c")
    assert spec.environment == {"MODE": "one\ntwo"}
    assert spec.resources == Resources(cpu=0.1, mem=64 << 20)


async def test_the_form_works_without_javascript(browser: Browser, site: Site) -> None:
    async with screen(browser, site, javascript=False) as shown:
        page = shown.page
        await page.goto("/submit")
        await page.get_by_label("What it runs").fill("print x")
        await page.get_by_label("CPU").fill("1000")
        await page.get_by_label("Variable 1").fill("A")
        await page.get_by_role("button", name="Add a variable").click()
        await page.get_by_label("Variable 3").fill("B")
        await page.get_by_role("button", name="Submit the job").click()
        await expect(page.locator("[data-problem=resources]")).to_contain_text("the largest node")
        await expect(page.locator("#line pre")).to_contain_text("--cpu 1000 --env A= --env B= -- print x")
        shown.complaints = [text for text in shown.complaints if "status of 400" not in text]
        await shown.check("submit-never-fits")
        await page.get_by_label("CPU").fill("0.1")
        await page.get_by_role("button", name="Check").click()
        await expect(page.locator("#state")).to_have_text("It can be submitted.")
        await page.get_by_role("button", name="Submit the job").click()
        await page.wait_for_url("**/local/joe/jobs/*")
        await site.world.finished("1")
        assert shown.complaints == []
