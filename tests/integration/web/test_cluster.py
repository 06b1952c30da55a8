"""The pages of resource groups: what is there, attaching, changing and detaching."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dais.compute.groups.topics import GROUPS
from dais.identity import create_user
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


def words(page: str) -> str:
    """The text alone."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


async def test_an_engine_is_attached_by_the_form(site: Site) -> None:
    async with site.signed_in() as client:
        page = (await client.get("/cluster/attach")).text
        fields = {"token": form_token(page), "engine": "fake", "name": "more", "options": "machine=far"}
        missing = await client.post("/cluster/attach", data=fields | {"do": "attach"})
        assert missing.status_code == 400
        assert "there is no machine &#39;far&#39;" in missing.text
        assert "buy one" in words(missing.text)
        assert "<code>dais attach fake --name more --option machine=far</code>" in missing.text
        for wrong, where, told in (
            ({"options": "machin=far"}, "options", "did you mean &#39;machine&#39;?"),
            ({"options": "far"}, "options", "an option is NAME=VALUE"),
            ({"name": "A b"}, "name", "cannot name a resource group"),
        ):
            answer = await client.post("/cluster/attach", data=fields | wrong)
            assert answer.status_code == 400
            at = re.search(rf'id="notes-{where}"><strong>(.*?)</strong>', answer.text, re.DOTALL)
            assert at is not None
            assert told in at[1]

        site.world.machines.add("far")
        checked = await client.post("/cluster/attach", data=fields | {"do": "check"})
        assert checked.status_code == 200
        assert "It can be attached" in checked.text
        assert (await client.get("/cluster/groups/more")).status_code == 404
        made = await client.post("/cluster/attach", data=fields | {"do": "attach"})
        assert (made.status_code, made.headers["location"]) == (303, "/cluster/groups/more")

        page = (await client.get("/cluster/groups/more")).text
        assert "machine=far</textarea>" in page
        form = {"token": form_token(page)}
        changed = await client.post(
            "/cluster/groups/more", data=form | {"default_image": "debian", "options": "machine=far"}
        )
        assert changed.status_code == 303
        assert "<code>debian</code>" in (await client.get("/cluster/groups/more")).text
        refused = await client.post("/cluster/groups/more/detach", data=form | {"confirm": "mor"})
        assert "type more to detach the group" in refused.text
        gone = await client.post("/cluster/groups/more/detach", data=form | {"confirm": "more"})
        assert (gone.status_code, gone.headers["location"]) == (303, "/cluster")
        assert "more</a>" not in (await client.get("/cluster")).text


async def test_the_list_says_what_is_used_and_what_is_away(site: Site) -> None:
    world = site.world
    machine = world.machines.add("far")
    async with site.signed_in() as client:
        token = form_token((await client.get("/cluster/attach")).text)
        await client.post("/cluster/attach", data={"token": token, "engine": "fake", "name": "more"})
        job = await world.submit("sleep-forever", group="more")
        await world.state(job, "RUNNING")
        told = words((await client.get("/cluster")).text)
        assert "more fake ✓ up 1 0.1 of 2" in told
        assert "Attach an engine" in told
        machine.set_reachable(False)
        await world.submit("exit", "0", group="more")

        async def away() -> bool:
            world.db.hints.raise_([GROUPS])
            said = (await client.get("/cluster")).text
            return "Group more starts nothing now: its engine" in said and "as last known" in said

        await world.until_true(away, "the page says that it is away")
        joan = await world.db.write(create_user, world.actor, "joan")
        async with site.signed_in(joan.id) as hers:
            assert "Attach an engine" not in (await hers.get("/cluster")).text
            assert (await hers.get("/cluster/attach")).status_code == 403
            assert "Detach" not in (await hers.get("/cluster/groups/more")).text
            assert "the first in which it fits" in (await hers.get("/submit")).text
            assert '<option value="more" selected>' in (await hers.get("/submit?group=more")).text
