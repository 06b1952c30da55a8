"""The pages of access do what their forms say, refuse what may not be, and show nobody what is not theirs to see."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from dais.identity import (
    create_sign_in_link,
    create_team,
    create_user,
    get_user,
    resolve_role,
    role_members,
    team_members,
)
from dais.kit.clock import ManualClock
from dais.kit.database import Database
from tests.support.site import Site, form_token, running_site
from tests.support.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture
async def site(database: Database, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Site]:
    async with running_site(World(database, clock, tmp_path)) as running:
        yield running


async def user(site: Site, name: str) -> Any:
    return await site.world.db.write(create_user, site.world.actor, name)


@asynccontextmanager
async def as_user(site: Site, name: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A new user, signed in."""
    made = await user(site, name)
    secret = await site.world.db.write(create_sign_in_link, made.id)
    async with site.browser() as client:
        assert (await client.post(f"/sign-in/{secret}")).status_code == 303
        yield client


async def send(client: httpx2.AsyncClient, page: str, address: str, **fields: str) -> httpx2.Response:
    """Send a form as it stands on a page."""
    token = form_token((await client.get(page)).text)
    return await client.post(address, data={"token": token, **fields})


async def test_a_user_is_made_changed_disabled_and_let_in_again(site: Site) -> None:
    async with site.signed_in() as client:
        new = "/access/users/new"
        answer = await send(client, new, new, email="Ann.Lee@example.org", full_name="Ann Lee")
        assert answer.status_code == 303, answer.text
        place = answer.headers["location"]
        page = (await client.get(place)).text
        assert "local.ann-lee" in page
        assert "ann.lee@example.org" in page
        assert "local.user" in page, "the role of everybody"
        again = await send(client, new, new, email="ann.lee@example.org", name="other")
        assert again.status_code == 400
        assert "somebody has the address" in again.text
        answer = await send(client, place, place, full_name="Ann B. Lee", email="ann@example.org")
        assert answer.status_code == 303
        assert "Ann B. Lee" in (await client.get("/access/users?text=ann")).text
        assert (await send(client, place, f"{place}/disable")).status_code == 303
        id_ = place.rpartition("/")[2]
        assert (await site.world.db.read(get_user, id_)).disabled
        assert (await send(client, place, f"{place}/enable")).status_code == 303
        assert not (await site.world.db.read(get_user, id_)).disabled


async def test_the_last_administrator_cannot_be_disabled(site: Site) -> None:
    async with site.signed_in() as client:
        place = f"/access/users/{site.world.actor.id}"
        answer = await send(client, place, f"{place}/disable")
        assert answer.status_code == 400
        assert "no administrator left" in answer.text


async def test_a_team_gets_members_a_policy_another_name_and_goes(site: Site) -> None:
    joe = await user(site, "joe2")
    async with site.signed_in() as client:
        answer = await send(client, "/access/teams", "/access/teams", name="vision")
        place = answer.headers["location"]
        id_ = place.rpartition("/")[2]
        assert (await send(client, place, f"{place}/members", member="joe2")).status_code == 303
        wrong = await send(client, place, f"{place}/members", member="jo2")
        assert wrong.status_code == 400
        assert "did you mean joe2" in wrong.text.replace("&#39;", "'")
        inner = (await send(client, "/access/teams", "/access/teams", name="inner")).headers["location"]
        assert (await send(client, place, f"{place}/members", member="team:inner")).status_code == 303
        cycle = await send(client, inner, f"{inner}/members", member="team:vision")
        assert "cannot be inside itself" in cycle.text
        assert (await send(client, place, f"{place}/policies", statements="job:get@*\njob:logs@*")).status_code == 303
        bad = await send(client, place, f"{place}/policies", statements="job:gte@*")
        assert bad.status_code == 400
        assert "did you mean job:get" in bad.text
        page = (await client.get(place)).text
        policy = re.search(r"/access/policies/([0-9a-f-]{36})/remove", page)
        assert policy is not None
        assert (await send(client, place, policy[0])).headers["location"] == place
        team = (await client.get(place)).text
        assert "None of its own" in team
        drop = await send(client, place, f"{place}/members/remove", type="user", id=joe.id)
        assert drop.status_code == 303
        assert (await send(client, place, place, name="sight")).status_code == 303
        assert (await send(client, place, f"{place}/remove", confirm="vision")).status_code == 400
        assert (await send(client, place, f"{place}/remove", confirm="sight")).headers["location"] == "/access/teams"
        assert (await client.get(f"/access/teams/{id_}")).status_code == 404


async def test_a_role_gets_members_and_a_key_that_is_shown_once(site: Site) -> None:
    await user(site, "joe2")
    async with site.signed_in() as client:
        answer = await send(client, "/access/roles", "/access/roles", of="local.joe", name="job_access")
        place = answer.headers["location"]
        assert "local.joe.job_access" in (await client.get("/access/roles?of=local.joe")).text
        assert (await send(client, place, f"{place}/members", member="joe2")).status_code == 303
        made = await send(client, place, f"{place}/keys", label="robot", days="30")
        secret = re.search(r"dais_role_[0-9A-Za-z]{43}", made.text)
        assert secret is not None
        page = (await client.get(place)).text
        assert secret[0] not in page
        assert "robot" in page
        headers = {"Authorization": f"Bearer {secret[0]}"}
        assert (await client.get("/v1/jobs", headers=headers)).status_code in (200, 403)
        end = re.search(rf"{place}/keys/[0-9a-f-]+/end", page)
        assert end is not None
        assert (await send(client, place, end[0])).status_code == 303
        assert (await client.get("/v1/jobs", headers=headers)).status_code == 401


async def test_nobody_gives_away_more_than_they_have(site: Site) -> None:
    db = site.world.db
    async with as_user(site, "mallory") as client:
        page = await client.get(f"/access/users/{site.world.actor.id}")
        assert page.status_code == 200
        assert "Policies" not in page.text, "policies of others are not everybody's to read"
        assert "Tokens" not in page.text
        assert "Disable" not in page.text, "there is no form for what one may not do"
        admin = await db.read(resolve_role, site.world.actor, "admin")
        place = f"/access/roles/{admin.id}"
        assert "Add a member" not in (await client.get(place)).text
        refused = await send(client, place, f"{place}/members", member="mallory")
        assert refused.status_code == 400
        assert "may not role:set" in refused.text
        assert len((await db.read(role_members, site.world.actor, admin)).items) == 1
        answer = await send(client, "/access/users", "/access/teams", name="mine")
        assert answer.status_code == 400, "making a team takes team:new"


async def test_forms_of_other_origins_and_other_sessions_change_nothing(site: Site) -> None:
    team = await site.world.db.write(create_team, site.world.actor, "vision")
    joe = await user(site, "joe2")
    place = f"/access/teams/{team.id}/members"
    async with site.signed_in() as client:
        token = form_token((await client.get("/access/teams")).text)
        foreign = await client.post(
            place, data={"token": token, "member": "joe2"}, headers={"Origin": "https://evil.example"}
        )
        stale = await client.post(place, data={"token": "0" * 64, "member": "joe2"})
        assert (foreign.status_code, stale.status_code) == (403, 403)
    assert (await site.world.db.read(team_members, site.world.actor, team)).items == []
    assert joe.name == "joe2"


async def test_somebody_is_invited_and_the_invitation_taken_back(site: Site) -> None:
    place = "/access/invitations"
    async with site.signed_in() as client:
        made = await send(client, place, place, email="new@example.org", accounts="local.joe\n")
        link = re.search(r"/invitations/[0-9A-Za-z]{43}", made.text)
        assert link is not None, "without a mail server the link is shown"
        page = (await client.get(place)).text
        assert link[0] not in page, "once"
        assert "new@example.org" in page
        async with site.browser() as stranger:
            assert (await stranger.get(link[0])).status_code == 200
        wrong = await send(client, place, place, email="new@", accounts="local.nobody")
        assert wrong.status_code == 400
        assert "local.nobody" in wrong.text, "what was typed is still there"
        back = re.search(rf"{place}/[0-9a-f-]{{36}}/take-back", page)
        assert back is not None
        assert (await send(client, place, back[0])).status_code == 303
        async with site.browser() as stranger:
            assert (await stranger.get(link[0])).status_code != 200


async def test_what_was_done_and_refused_is_shown_to_those_whom_it_concerns(site: Site) -> None:
    async with site.signed_in() as client:
        await send(client, "/access/teams", "/access/teams", name="vision")
        page = (await client.get("/access/audit?action=team:new")).text
        assert "team:new" in page
        assert "local.joe" in page
        assert "allowed" in page
        none = (await client.get("/access/audit?action=team:new&allowed=no")).text
        assert "Nothing is like that" in none
        assert "Nothing is like that" in (await client.get("/access/audit?until=2001-01-01")).text
        for query in ("allowed=maybe", "since=yesterday", "action=team:made"):
            assert (await client.get(f"/access/audit?{query}")).status_code == 400, query
    async with as_user(site, "mallory") as client:
        assert (await client.get("/access/audit?action=team:new")).text.count("<tr data-key") == 0


async def test_who_may_do_what_is_told_with_the_reason(site: Site) -> None:
    team = await site.world.db.write(create_team, site.world.actor, "vision")
    question = f"/access?action=team:set&urn={team.organization_id}:team:{team.id}"
    async with site.signed_in() as client:
        page = (await client.get(question)).text
        assert re.search(r"You.*?may</span>", page)
        assert "administrator of the installation" in page
        assert "Nobody." not in page
        for wrong in ("action=team:sett&urn=x", "action=team:set", "action=team:set&urn=nonsense"):
            assert (await client.get(f"/access?{wrong}")).status_code == 400, wrong
    async with as_user(site, "mallory") as client:
        page = (await client.get(question)).text
        assert "may not</span>" in page
        assert "No statement of yours says so." in page
        assert "may not policy:get" in page, "who else may is not everybody's to know"
        assert "local.user" in page, "through which role the reader has what they have"
