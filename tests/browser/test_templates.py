"""The pages of templates in light and dark, wide and narrow."""

from __future__ import annotations

import msgspec
import pytest
from playwright.async_api import Browser

from dais.compute import ProvisioningSettings, register_template
from dais.compute.provisioning.commands import end_template
from dais.compute.provisioning.model import Sample, fit
from dais.compute.provisioning.queries import find_template, hints_of
from dais.kit.database import UnitOfWork
from dais.wire.spec import JobSpec
from dais.wire.templates import NewTemplate
from tests.support.screen import screen
from tests.support.site import Site

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CPU = (0.1, 0.2, 0.5, 1.0)
MEM = (64 << 20, 256 << 20)
COMMAND = ("python", "train.py", "--data", "/mnt/digits-of-many-hands", "--epoch", "{1,2,5}", "--how", "{fast,slow}")


async def make(site: Site, name: str, *, ready: bool) -> None:
    """A template of `joe`; one that is ready has learnt from runs that take less than half as long with four times
    the cores."""

    def write(uow: UnitOfWork) -> None:
        new = NewTemplate(name=name, spec=JobSpec(command=COMMAND), cpu=CPU, mem=MEM)
        made = register_template(uow, site.world.actor, new, site.world.settings, ProvisioningSettings())
        if not ready:
            return
        samples = [
            Sample((epoch, how), cpu, mem, 60 * float(epoch) * slower * cpu**-0.6 * (1.1 if mem == MEM[0] else 1.0))
            for epoch in ("1", "2", "5")
            for how, slower in (("fast", 1), ("slow", 3))
            for cpu in CPU
            for mem in MEM
        ]
        samples[0] = msgspec.structs.replace(samples[0], seconds=samples[0].seconds * 1.5)
        fitted = fit(hints_of(find_template(uow, site.world.actor, made.id)), samples)
        end_template(uow, made.id, "ready", None, msgspec.json.encode(fitted).decode())

    await site.world.db.write(write)


async def test_a_template_is_found_and_predicts_what_a_job_takes(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown:
        page = shown.page
        await page.get_by_role("link", name="Templates", exact=True).click()
        await page.get_by_role("heading", name="No templates yet").wait_for()
        await shown.check_looks("templates-empty")

        await make(site, "digits", ready=True)
        await make(site, "a-name-as-long-as-names-may-be-in-this-platform-0123456789-abcd", ready=False)
        await page.reload()
        assert await page.locator("#templates tbody tr").count() == 2
        await shown.check_looks("templates")

        await page.get_by_role("link", name="digits", exact=True).click()
        await page.get_by_role("heading", name="digits", exact=True).wait_for()
        assert await page.locator("nav.rail a[aria-current=page]").inner_text() == "Jobs"
        cheapest = await page.locator("#chosen strong").inner_text()
        assert await page.locator("svg .chosen").count() == 1
        assert await page.locator("svg circle").count() == len(CPU) * len(MEM)
        assert await page.locator("#allocations tbody tr").count() == len(CPU) * len(MEM)
        await shown.check_looks("template")

        here = page.url
        await page.get_by_label("epoch").fill("2")
        await page.get_by_label("how").select_option("fast")
        await page.get_by_label("Longest time").fill("1h")
        await page.get_by_label("Least").select_option("time")
        await page.get_by_role("button", name="Predict").click()
        await page.wait_for_url("**optimize=time")
        assert await page.locator("#chosen strong").inner_text() != cheapest
        assert await page.get_by_label("epoch").input_value() == "2"
        line = await page.locator(".shell code").inner_text()
        assert "dais template run" in line
        assert "--optimize time" in line

        form = page.get_by_role("form", name="Submit with the chosen allocation")
        fields = await form.evaluate("form => Object.fromEntries(new FormData(form))")
        chosen = await page.locator("#chosen strong").inner_text()
        await page.get_by_role("button", name="Submit this job").click()
        await page.wait_for_url("**/jobs/**")
        job = page.url
        assert "--epoch 2 --how fast" in await page.content()
        again = await page.request.post(here, form=fields)
        assert (again.status, again.url) == (200, job), "sent twice, it is one job"
        await page.goto(here)
        assert await page.locator("#submitted tbody tr").count() == 1
        assert chosen.startswith("1 core")

        await page.get_by_label("Longest time").fill("1s")
        await page.get_by_role("button", name="Predict").click()
        await page.get_by_role("alert").get_by_text("the nearest is").wait_for()
        await shown.check_looks("template-refused")

        await page.goto("/templates")
        await page.get_by_role("link", name="a-name-as-long").click()
        await page.get_by_text("0 of").wait_for()
        assert await page.locator("#wish").count() == 0
        await shown.check_looks("template-profiling")
