"""What pages and WebSockets refuse is written down, and that somebody ran a command in a job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from dais.identity import AuditEntry, create_policy, create_sign_in_link, create_token, create_user, list_audit
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


async def denied(site: Site) -> list[AuditEntry]:
    found: list[AuditEntry] = (await site.world.db.read(list_audit, site.world.actor, allowed=False)).items
    return found


async def test_what_is_refused_beside_a_form_and_on_a_page(site: Site) -> None:
    db, root = site.world.db, site.world.actor
    sam = await db.write(create_user, root, "sam")
    await db.write(create_policy, root, "user", sam.id, ["policy:*+user:get@*"])
    secret = await db.write(create_sign_in_link, sam.id)
    async with site.browser() as client:
        assert (await client.post(f"/sign-in/{secret}")).status_code == 303
        page = f"/access/users/{sam.id}"
        token = form_token((await client.get(page)).text)
        before = len(await denied(site))
        answer = await client.post(f"{page}/policies", data={"token": token, "statements": "job:kill@*"})
        assert answer.status_code in (400, 403), answer.text
        entry = (await denied(site))[0]
        assert (entry.user, entry.action, entry.detail["code"]) == ("local.sam", "job:kill", "beyond-own")
        assert entry.address == "127.0.0.1"
        await client.post("/access/teams", data={"token": token, "name": "lab"})
        found = await denied(site)
        assert found[0].action == "team:new"
        assert len(found) == before + 2


async def test_commands_in_jobs_are_written_down_and_refused_ones_too(site: Site) -> None:
    db, root = site.world.db, site.world.actor
    sam = await db.write(create_user, root, "sam")
    await db.write(create_policy, root, "user", sam.id, [f"job:get@{root.organization_id}:*"])
    job = await site.world.submit("sleep", "60")
    await site.world.state(job, "RUNNING")
    tokens = [(await db.write(create_token, root, user_id=one)).secret for one in (sam.id, root.id)]
    address = f"{site.url.replace('http', 'ws')}/v1/jobs/{job}/exec"
    with pytest.raises(InvalidStatus) as caught:
        await connect(address, additional_headers={"Authorization": f"Bearer {tokens[0]}"})
    assert caught.value.response.status_code == 403
    async with connect(address, additional_headers={"Authorization": f"Bearer {tokens[1]}"}):
        pass
    done = (await db.read(list_audit, root, action="job:exec")).items
    assert [(one.user, one.allowed) for one in done] == [("local.joe", True), ("local.sam", False)]
    assert done[0].urn.endswith(f":job:{job}")
