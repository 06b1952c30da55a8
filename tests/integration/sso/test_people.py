"""Who gets in by single sign-on: with a real provider, and with one that says what it is told."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from sqlalchemy import update

from dais.identity import (
    NewProvider,
    RoleRule,
    create_provider,
    create_token,
    create_user,
    disable_user,
    list_users,
    resolve_role,
    role_members,
    set_user,
)
from dais.identity.tables import organizations
from dais.kit.clock import SECOND
from dais.kit.database import Database, Statement, UnitOfWork
from tests.support.database import every_row
from tests.support.openid import CLIENT, CODE, Provider, openid_provider, real_provider
from tests.support.site import Site, form_token
from tests.support.sso import SECRET, forged, names, provide, way_there

pytestmark = pytest.mark.anyio


async def sign_in_as(client: httpx2.AsyncClient, subject: str) -> httpx2.Response:
    """All of the way with the real provider."""
    there = await way_there(client)
    async with httpx2.AsyncClient() as browser:
        granted = await browser.post(there[""], data={"sub": subject})
    assert granted.status_code == 302, granted.text
    return await client.get(granted.headers["location"])


async def test_a_new_person_and_the_same_one_again(site: Site) -> None:
    claims = {"preferred_username": "Mia.Lee", "email": "Mia@Example.org", "email_verified": True, "name": "Mia Lee"}
    with real_provider({"s-mia": claims}) as issuer:
        await provide(site, issuer)
        for _ in range(2):
            async with site.browser() as client:
                page = await client.get("/sign-in")
                assert "Sign in with lab" in page.text
                assert 'href="/sign-in/with/lab"' in (await client.get("/jobs")).text
                answer = await sign_in_as(client, "s-mia")
                assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
                assert (await client.get("/jobs")).status_code == 200
                assert "dais_challenge" not in client.cookies
    found = await site.world.db.read(list_users, site.world.actor)
    assert [(user.name, user.email, user.full_name) for user in found.items if user.name != "joe"] == [
        ("mia-lee", "mia@example.org", "Mia Lee")
    ]


async def test_it_goes_on_where_one_wanted_to_go(site: Site, forger: Provider) -> None:
    await provide(site, forger.issuer)
    async with site.browser() as client:
        for asked, led in (("/device?code=BBBB-BBBB", "/device?code=BBBB-BBBB"), ("//evil.example", "/")):
            there = await client.get("/sign-in/with/lab", params={"next": asked})
            query = {name: one[0] for name, one in parse_qs(urlsplit(there.headers["location"]).query).items()}
            now = site.world.clock.now() // SECOND
            forger.challenge = query["code_challenge"]
            forger.claims = {
                "iss": forger.issuer, "sub": "s-1", "aud": CLIENT, "nonce": query["nonce"], "iat": now, "exp": now + 9,
                "preferred_username": "mia",
            }  # fmt: skip
            answer = await client.get("/sign-in/with/lab/back", params={"code": CODE, "state": query["state"]})
            assert answer.headers["location"] == led


async def test_an_existing_user_is_found_by_a_verified_address_where_that_is_allowed(
    site: Site, forger: Provider
) -> None:
    world = site.world
    mia = await world.db.write(create_user, world.actor, "mia", email="mia@example.org")
    await world.db.write(set_user, world.actor, world.actor.id, email="root@example.org")
    await provide(site, forger.issuer, creates_users=False, links_by_email=True)
    async with site.browser() as client:
        for refused in (
            {"email_verified": False},
            {"email_verified": None},
            {"email": "nobody@example.org"},
            {"email": "root@example.org"},  # an administrator of the installation
        ):
            answer = await forged(client, forger, site, **refused)
            assert answer.status_code == 403, refused
            assert "nobody here is linked" in answer.text
        assert (await forged(client, forger, site)).status_code == 303
        assert (await forged(client, forger, site, email=None)).status_code == 303  # linked by its subject from now on
        assert "mia" in (await client.get("/settings")).text
        await world.db.write(disable_user, world.actor, mia.id)
        assert (await forged(client, forger, site)).status_code == 401
    assert await names(site) == {"joe", "mia"}


async def test_without_leave_an_address_finds_nobody(site: Site, forger: Provider) -> None:
    world = site.world
    await world.db.write(create_user, world.actor, "mia", email="mia@example.org")
    await provide(site, forger.issuer)
    async with site.browser() as client:
        assert (await forged(client, forger, site)).status_code == 303
    found = {user.name: user.email for user in (await world.db.read(list_users, world.actor)).items}
    assert found == {"joe": None, "mia": "mia@example.org", "mia-2": None}


async def test_only_people_of_the_domains_get_in(site: Site, forger: Provider) -> None:
    await provide(site, forger.issuer, domains=("example.org",))
    async with site.browser() as client:
        for email in ("mia@example.com", "mia@evil-example.org", "mia@example.org.evil.com"):
            answer = await forged(client, forger, site, email=email)
            assert answer.status_code == 403
        assert (await forged(client, forger, site, email_verified=False)).status_code == 403
        assert (await forged(client, forger, site)).status_code == 303


async def test_a_no_at_the_provider_and_a_code_that_it_does_not_know(site: Site, forger: Provider) -> None:
    await provide(site, forger.issuer)
    async with site.browser() as client:
        there = await way_there(client)
        said = {"error": "access_denied", "error_description": "<b>no</b>", "state": there["state"]}
        answer = await client.get("/sign-in/with/lab/back", params=said)
        assert answer.status_code == 401
        assert "did not let you in (access_denied)" in answer.text
        there = await way_there(client)
        answer = await client.get("/sign-in/with/lab/back", params={"code": "wrong", "state": there["state"]})
        assert answer.status_code == 401
        assert "did not confirm who you are (invalid_grant)" in answer.text


async def test_roles_follow_the_claims(site: Site, forger: Provider) -> None:
    world = site.world
    role = await world.db.read(resolve_role, world.actor, "local.joe.user")
    await provide(site, forger.issuer, roles=(RoleRule(claim="groups", value="vision", role_id=role.id),))

    async def members() -> set[str]:
        return {one.name for one in (await world.db.read(role_members, world.actor, role)).items}

    before = await members()
    async with site.browser() as client:
        for groups, given in ((["a", "vision"], True), ("vision", True), (["visionary"], False), (None, False)):
            assert (await forged(client, forger, site, groups=groups)).status_code == 303
            assert await members() - before == ({"mia"} if given else set())


async def test_a_second_factor_is_asked_for_unless_the_provider_vouches(site: Site, forger: Provider) -> None:
    world = site.world

    def require_mfa(uow: UnitOfWork) -> None:
        uow.run(Statement(update(organizations).values(mfa_required=1)))

    await world.db.write(require_mfa)
    await provide(site, forger.issuer)
    async with site.browser() as client:
        answer = await forged(client, forger, site)
        assert answer.headers["location"] == "/sign-in/device"
        assert (await client.get("/jobs")).status_code == 401
    with openid_provider() as second:
        await provide_second(site, second)
        async with site.browser() as client:
            there = await client.get("/sign-in/with/strong")
            query = {name: one[0] for name, one in parse_qs(urlsplit(there.headers["location"]).query).items()}
            now = world.clock.now() // SECOND
            second.challenge = query["code_challenge"]
            second.claims = {
                "iss": second.issuer, "sub": "x", "aud": CLIENT, "nonce": query["nonce"], "iat": now, "exp": now + 9,
            }  # fmt: skip
            answer = await client.get("/sign-in/with/strong/back", params={"code": CODE, "state": query["state"]})
            assert answer.headers["location"] == "/"
            assert (await client.get("/jobs")).status_code == 200


async def provide_second(site: Site, provider: Provider) -> None:
    world = site.world
    wanted = NewProvider(
        name="strong",
        issuer=provider.issuer,
        client_id=CLIENT,
        organization_id=world.actor.organization_id,
        creates_users=True,
        internal=True,
        strong=True,
    )
    await world.db.write(create_provider, world.actor, world.vault, wanted)


async def test_signing_out_leads_out_of_the_provider_too(site: Site, forger: Provider) -> None:
    await provide(site, forger.issuer)
    async with site.browser() as client:
        assert (await forged(client, forger, site)).status_code == 303
        token = form_token((await client.get("/jobs")).text)
        page = await client.post("/sign-out", data={"token": token})
        assert f"{forger.issuer}/end?client_id={CLIENT}" in page.text


async def test_providers_are_for_administrators_and_keep_their_secret(
    site: Site, forger: Provider, database: Database
) -> None:
    world = site.world
    mia = await world.db.write(create_user, world.actor, "mia")
    hers = (await world.db.write(create_token, world.actor, user_id=mia.id)).secret
    body = {
        "name": "lab", "issuer": forger.issuer, "client_id": CLIENT, "client_secret": SECRET, "internal": True,
        "roles": ["groups=vision:local.joe.user"],
    }  # fmt: skip
    async with site.browser() as client:
        root = {"Authorization": f"Bearer {await site.token()}"}
        user = {"Authorization": f"Bearer {hers}"}
        place = "/v1/identity-providers"
        assert (await client.post(place, json=body, headers=user)).status_code == 403
        assert (await client.get(place, headers=user)).status_code == 403
        assert (await client.delete(f"{place}/lab", headers=user)).status_code == 403
        made = await client.post(place, json=body, headers=root)
        assert made.status_code == 201, made.text
        assert made.json()["redirect_uri"] == f"{site.url}/sign-in/with/lab/back"
        assert made.json()["roles"] == body["roles"]
        for wrong in (
            {"issuer": "http://login.example.org", "internal": False},
            {"issuer": "https://login.example.org/?x=1"},
            {"scopes": "email"},
            {"domains": ["no domain"]},
            {"roles": ["groups"]},
            {"name": "Bad Name"},
        ):
            answer = await client.post(place, json=body | {"name": "other"} | wrong, headers=root)
            assert answer.status_code == 400, wrong
        assert (await client.post(place, json=body, headers=root)).status_code == 409
        assert SECRET not in (await client.get(place, headers=root)).text
        assert SECRET not in await database.read(every_row)
        assert (await client.post("/v1/secrets/rotate-key", headers=root)).json()["secrets"] == 1
        assert (await way_there(client))["client_id"] == CLIENT
        assert (await client.delete(f"{place}/lab", headers=root)).status_code == 204
        assert (await client.get("/sign-in/with/lab")).status_code == 404
