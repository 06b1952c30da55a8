"""The pages of access in light and dark, wide and narrow."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from dais.identity import (
    add_team_member,
    create_policy,
    create_role,
    create_role_key,
    create_team,
    create_token,
    create_user,
    disable_user,
)
from tests.support.screen import screen
from tests.support.site import Site

pytestmark = pytest.mark.anyio


async def fill(site: Site) -> tuple[str, str, str]:
    """Users, a team and a role with something of everything; the addresses of one of each."""
    db, ann = site.world.db, site.world.actor
    users = [
        await db.write(create_user, ann, name, email=f"{name}@example.org", full_name=full)
        for name, full in (("ann-lee", "Ann Lee"), ("bo", None), ("cy-as-long-as-names-may-be-in-this-platform", "Cy"))
    ]
    await db.write(disable_user, ann, users[1].id)
    team = await db.write(create_team, ann, "vision")
    inner = await db.write(create_team, ann, "interns")
    await db.write(add_team_member, ann, team, user_id=users[0].id)
    await db.write(add_team_member, ann, team, team_id=inner.id)
    role = await db.write(create_role, ann, "account", ann.account_id, "job_access")
    await db.write(create_role_key, ann, role, label="the cluster's robot")
    for kind, id_ in (("team", team.id), ("role", role.id), ("user", users[0].id)):
        await db.write(create_policy, ann, kind, id_, ["job:get+job:logs@*:account:*:job:*", "data:get@*"])
    await db.write(create_token, ann, user_id=users[0].id, label="laptop")
    return f"/access/users/{users[0].id}", f"/access/teams/{team.id}", f"/access/roles/{role.id}"


@pytest.mark.slow
async def test_the_pages_of_access(browser: Browser, site: Site) -> None:
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto("/access/teams")
        await shown.check_looks("access-teams-empty")
        user, team, role = await fill(site)
        urn = f"{site.world.actor.organization_id}:team:{team.rpartition('/')[2]}"
        for name, address in (
            ("users", "/access/users"),
            ("users-none", "/access/users?text=nobody"),
            ("user-new", "/access/users/new"),
            ("user", user),
            ("teams", "/access/teams"),
            ("team", team),
            ("roles", "/access/roles?of=local.joe"),
            ("role", role),
            ("invitations", "/access/invitations"),
            ("audit", "/access/audit"),
            ("who", "/access"),
            ("who-may", "/access?action=team:get&urn=" + urn),
            ("audit-none", "/access/audit?user=nobody&allowed=no"),
        ):
            await page.goto(address)
            await shown.check_looks(f"access-{name}")


async def test_a_member_is_added_and_a_key_made_by_hand(browser: Browser, site: Site) -> None:
    _, team, role = await fill(site)
    async with screen(browser, site) as shown:
        page = shown.page
        await page.goto("/jobs")
        await page.get_by_role("link", name="Access").click()
        await page.get_by_role("link", name="Teams", exact=True).click()
        await page.get_by_role("link", name="vision").click()
        await page.wait_for_url(f"**{team}")
        await page.get_by_label("Add a member").fill("joe")
        await page.get_by_role("button", name="Add", exact=True).click()
        await page.get_by_role("cell", name="joe", exact=True).wait_for()
        await page.goto(role)
        await page.get_by_label("New key: label").fill("laptop")
        await page.get_by_role("button", name="Make a key").click()
        await page.get_by_text("dais_role_").wait_for()
        await shown.check("access-key")
