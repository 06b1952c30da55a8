"""The pages of resource groups in light and dark, wide and narrow."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from dais.compute import group_problems
from dais.compute.groups.topics import GROUPS
from dais.engines.contract import NodeInfo
from dais.engines.contract.status import Others
from tests.support.screen import screen
from tests.support.site import Site

pytestmark = pytest.mark.anyio


async def test_an_engine_is_attached_by_hand(browser: Browser, site: Site) -> None:
    others = Others(cpu_millis=12_000, memory=96 << 30, gpu=1)
    gpus = tuple(f"GPU-{number}" for number in range(8))
    nodes = [NodeInfo(name=f"gpu-node-{n:02}.cluster.example.org", cpu=64.0, memory=512 << 30, gpus=gpus, others=others)
             for n in range(3)]  # fmt: skip
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto("/cluster")
        await page.get_by_role("link", name="Attach an engine").click()
        await page.get_by_label("Name of the group").fill("more")
        await page.get_by_label("Options", exact=True).fill("machine=far")
        await page.get_by_role("button", name="Check only").click()
        await page.get_by_role("heading", name="Something is missing").wait_for()
        await shown.check_looks("attach-missing")
        machine = site.world.machines.add("far", *nodes)
        await page.get_by_role("button", name="Attach", exact=True).click()
        await page.get_by_role("heading", name="more", exact=True).wait_for()
        job = await site.world.submit("sleep-forever", group="more")
        await site.world.state(job, "RUNNING")
        await page.reload()
        await shown.check_looks("group")
        machine.set_reachable(False)
        await site.world.submit("exit", "0", group="more")

        async def away() -> bool:
            site.world.db.hints.raise_([GROUPS])
            return "more" in await site.world.db.read(group_problems)

        await site.world.until_true(away, "it is away")
        await page.goto("/cluster")
        await page.get_by_text("Group more starts nothing now").wait_for()
        await shown.check_looks("cluster-away")
