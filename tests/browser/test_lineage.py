"""The graph of what was made of what, in a browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from dais.compute.reports.commands import take_reports
from dais.data import get_file
from dais.kit.database import UnitOfWork
from dais.kit.ids import new_id
from dais.wire.reports import Report
from tests.support.lineage import output, upload
from tests.support.screen import screen
from tests.support.site import Site

pytestmark = pytest.mark.anyio


def fill(uow: UnitOfWork, site: Site, job_id: str) -> None:
    joe = site.world.actor
    texts = upload(uow, joe, "texts")
    both = upload(uow, joe, "both", ["@texts", "/texts"])
    upload(uow, joe, "code.zip")
    model = output(uow, joe, job_id, "model", [texts, both], code=get_file(uow, joe, "/code.zip").id)
    for name in ("report", "a-name-of-a-set-that-is-far-too-long-for-its-place", "scores"):
        output(uow, joe, new_id(), name, [model, both])


async def test_the_graph_of_a_set_and_of_a_job(browser: Browser, site: Site) -> None:
    job_id = await site.world.submit("sleep")
    await site.world.db.write(fill, site, job_id)
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto("/local/joe/filesets/model")
        await page.get_by_role("link", name="Lineage").click()
        await expect(page.get_by_role("heading", name="Lineage of model:1")).to_be_visible()
        await expect(page.locator("svg .part.fileset")).to_have_count(6)
        await expect(page.locator("svg .part.job")).to_have_count(4)
        await expect(page.locator("svg a[aria-label='code /code.zip:1, code']")).to_have_count(1)
        await shown.check_looks("lineage")
        await page.locator("svg a", has_text="texts:1").focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Lineage of texts:1")).to_be_visible()
        await page.goto(f"/local/joe/jobs/{job_id}/lineage")
        await expect(page.locator("svg .part.first")).to_have_count(1)
        await shown.check_looks("lineage-job")
        await page.goto(f"/local/joe/jobs/{job_id}?tab=overview")
        await page.get_by_role("link", name="Lineage").click()
        await expect(page.locator("#parts tbody tr")).to_have_count(14)


async def test_what_a_job_reports_is_drawn_and_grows(browser: Browser, site: Site) -> None:
    job_id = await site.world.submit("sleep-forever")

    async def runs() -> bool:
        return (await site.world.job(job_id)).state == "RUNNING"

    await site.world.until_true(runs, "it runs")
    run_id = (await site.world.job(job_id)).runs[-1].id
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(f"/local/joe/jobs/{job_id}?tab=metrics")
        await expect(page.locator("#reported")).to_contain_text("Nothing yet")
        reports = [
            Report(metrics={"accuracy": 1 - 1 / (step + 1), "<b>loss</b>": 1 / (step + 1)}, step=step)
            for step in range(30)
        ]
        await site.world.db.write(take_reports, run_id, reports)
        await expect(page.locator("#reported svg polyline")).to_have_count(2)
        await site.world.db.write(take_reports, run_id, [Report(metrics={"f1": 0.5}, progress=0.5, message="epoch 3")])
        await expect(page.locator("#reported figure")).to_have_count(3)
        await expect(page.locator("#reported progress")).to_be_visible()
        await shown.check_looks("reported")


async def test_a_job_is_run_again_and_compared(browser: Browser, site: Site) -> None:
    job_id = await site.world.submit("true")
    await site.world.finished(job_id)
    run_id = (await site.world.job(job_id)).runs[-1].id
    await site.world.db.write(take_reports, run_id, [Report(metrics={"accuracy": 0.5, "loss": 2.0})])
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto(f"/local/joe/jobs/{job_id}?tab=overview")
        await page.get_by_role("button", name="Reproduce").click()
        await expect(page.get_by_role("heading", name="job 2")).to_be_visible()
        again = await site.world.finished("2")
        await site.world.db.write(take_reports, again.runs[-1].id, [Report(metrics={"accuracy": 0.5})])
        await page.goto(f"/local/joe/jobs/{again.id}?tab=overview")
        await expect(page.get_by_text("Something else came of it")).to_be_visible()
        await expect(page.locator("#again-metrics tbody tr")).to_have_count(2)
        await shown.check_looks("again")
        await page.get_by_role("link", name="job 1").click()
        await page.goto(f"/local/joe/jobs/{job_id}?tab=overview")
        await expect(page.get_by_role("heading", name="Run again by")).to_be_visible()
