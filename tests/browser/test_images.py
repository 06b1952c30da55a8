"""The pages of images and registries in light and dark, wide and narrow, with a real Docker and a real registry."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from playwright.async_api import Browser

from dais.compute import new_group
from dais.engines.container import ContainerEngine, ContainerOptions
from dais.kit.clock import ManualClock, SystemClock
from dais.kit.database import open_database
from dais.wire.spec import Resources
from tests.support.boxes import DockerMachines, is_open
from tests.support.containers import ContainerDaemon, Daemons, small_image
from tests.support.database import sqlite_url
from tests.support.registries import PASSWORD, USER, registry
from tests.support.screen import screen
from tests.support.site import Site, running_site
from tests.support.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
UID = 20_001
BOXES = "boxes"
SMALL = Resources(cpu=0.1, mem=64 << 20)


@pytest.fixture(scope="module")
def daemon() -> Iterator[ContainerDaemon]:
    with contextlib.closing(Daemons()) as daemons:
        yield daemons.make("docker")


@pytest.fixture
async def site(daemon: ContainerDaemon, tmp_path: Path) -> AsyncIterator[Site]:
    """A site with a second group, whose engine is Docker."""
    clock = ManualClock(SystemClock().now())
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(path.stat().st_mode | 0o011)
    with sqlite_url() as url, contextlib.closing(open_database(url, clock)) as database:
        world = World(database, clock, tmp_path)
        world.machine.host = msgspec.structs.replace(world.machine.host, uid=UID, gid=UID)
        options = ContainerOptions(socket=str(daemon.socket))
        kit = daemon.directory / "runner"  # made once: it takes two seconds
        engine = ContainerEngine("docker", tmp_path / "engine", options, runner=kit)
        world.machines = DockerMachines(clock, engine)
        async with running_site(world) as running:
            await world.db.write(new_group, world.actor, BOXES, "docker", {}, "")
            await world.until_true(lambda: world.db.read(is_open, BOXES), "the group is open")
            yield running


async def test_images_are_looked_for_built_and_forgotten(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto("/images")
        await page.get_by_role("heading", name="No images yet").wait_for()
        await shown.check_looks("images-empty")
        await page.get_by_text("Look into a store").click()
        await page.get_by_role("button", name="Group boxes").click()
        await page.get_by_text("The store was looked into: 1 new").wait_for()
        await page.get_by_role("link", name="Build").click()
        await page.get_by_label("Name", exact=True).fill("mine")
        await page.get_by_label("Dockerfile").fill("FROM small:latest\nRUN echo one\nRUN echo two; exit 7\n")
        await shown.check_looks("image-build")
        await page.get_by_role("button", name="Build it").click()
        await page.get_by_role("alert").get_by_text("line 3").wait_for()
        await page.locator("#image-log").get_by_text("two").first.wait_for()
        await shown.check_looks("image-failed")

        await page.goto("/images/build")
        await page.get_by_label("Name", exact=True).fill("mine")
        await page.get_by_label("Dockerfile").fill("FROM small:latest\nRUN echo one\n")
        await page.get_by_label("Labels").fill(
            "ai.backend.resource.min.mem=64m\nai.backend.service-ports=web:http:8080"
        )
        await page.get_by_label("In place of an image of this name").check()
        await page.get_by_role("button", name="Build it").click()
        await page.get_by_text("boxes, has it").or_(page.locator("#where").get_by_text("has it")).first.wait_for()
        await page.get_by_label("Another name").fill("best")
        await page.get_by_role("button", name="Add", exact=True).click()
        await page.get_by_role("button", name="Take best away").wait_for()
        await shown.check_looks("image")
        await page.get_by_text("Make one with more labels").click()
        await page.get_by_label("Name of the new image").fill("more")
        await page.locator("textarea[name=labels]").fill("made.for=tests")
        await page.get_by_role("button", name="Make it").click()
        await page.get_by_role("heading", name="more", exact=True).wait_for()
        await page.locator("#where").get_by_text("has it").wait_for()
        await page.goto("/images")
        assert await page.locator("#images tbody tr").count() == 3
        await shown.check_looks("images")
        await page.get_by_label("Name, reference or label").fill("best")
        await page.locator("#images tbody tr").nth(1).wait_for(state="detached")
        await page.locator("#images").get_by_role("link", name="mine").click()
        await page.get_by_label("Type mine to confirm").fill("mine")
        await page.get_by_role("button", name="Forget mine").click()
        await page.wait_for_url("**/images")
        assert await page.locator("#images tbody tr").count() == 2


async def test_a_running_job_becomes_an_image(browser: Browser, site: Site, daemon: ContainerDaemon) -> None:
    daemon.load_image(small_image(), "workshop:latest", {"dais.root": "writable"})
    async with screen(browser, site) as shown:
        page = shown.page
        job = await site.world.submit(
            "sh", "-c", "echo up; sleep 600", group=BOXES, image="workshop", name="tuned", resources=SMALL
        )
        await site.world.state(job, "RUNNING")
        await page.goto(f"/jobs/{job}?tab=overview")
        await page.get_by_role("link", name="Make an image").click()
        await shown.check_looks("commit")
        await page.get_by_label("Name of the image").fill("kept")
        await page.get_by_role("button", name="Make the image").click()
        await page.get_by_role("heading", name="kept", exact=True).wait_for()
        await page.locator("#where").get_by_text("has it").wait_for()
        await site.world.kill(job)
        await site.world.finished(job)


async def test_a_registry_is_registered_tested_and_looked_through(
    browser: Browser, site: Site, daemon: ContainerDaemon, tmp_path: Path
) -> None:
    with registry(tmp_path / "registry", password=True) as host:
        async with screen(browser, site) as shown:
            page = shown.page
            await page.goto("/registries")
            await page.get_by_label("Host", exact=True).fill(host)
            await page.get_by_label("By plain HTTP").check()
            await page.get_by_label("Sign in as").fill(USER)
            await page.get_by_label("Password or token").fill("wrong")
            await shown.check_looks("registries")
            await page.get_by_role("button", name="Register", exact=True).click()
            await page.get_by_role("button", name="Test it").click()
            await page.get_by_role("alert").get_by_text("does not let in").wait_for()
            shown.complaints.clear()  # the browser tells of the 400
            await page.get_by_label("Password or token").fill(PASSWORD)
            await page.get_by_role("button", name="Change").click()
            await page.get_by_role("button", name="Test it").click()
            await page.get_by_text(f"lets in {USER}").wait_for()
            await page.get_by_role("button", name="Look", exact=True).click()
            await page.get_by_text("0 new images").wait_for()
            await shown.check_looks("registry")
            await page.get_by_label(f"Type {host} to confirm").fill(host)
            await page.get_by_role("button", name=f"Remove {host}").click()
            await page.wait_for_url("**/registries")
            assert await page.get_by_role("link", name=host).count() == 0
    await asyncio.to_thread(daemon.containers)
