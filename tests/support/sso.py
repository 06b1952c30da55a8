"""What tests of single sign-on share: a provider that the site knows, and the way there and back."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from dais.identity import (
    Actor,
    NewProvider,
    all_providers,
    create_provider,
    list_users,
    remove_provider,
)
from dais.kit.clock import SECOND
from dais.kit.database import UnitOfWork
from dais.kit.vault import Vault
from tests.support.openid import CLIENT, CODE, Provider
from tests.support.site import Site

SECRET = "the-client's-secret"


async def provide(site: Site, issuer: str, **options: Any) -> None:
    """Let people sign in with the provider `lab`."""
    world = site.world
    fields = {"creates_users": True, "internal": True, "secret": SECRET, **options}
    wanted = NewProvider(
        name="lab", issuer=issuer, client_id=CLIENT, organization_id=world.actor.organization_id, **fields
    )
    await world.db.write(create_provider, world.actor, world.vault, wanted)


async def way_there(client: httpx2.AsyncClient) -> dict[str, str]:
    """Begin; what the browser takes to the provider."""
    answer = await client.get("/sign-in/with/lab")
    assert answer.status_code == 303, answer.text
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    return {name: values[0] for name, values in query.items()} | {"": answer.headers["location"]}


async def forged(client: httpx2.AsyncClient, provider: Provider, site: Site, **changes: Any) -> httpx2.Response:
    """All of the way with the forger, whose token has these claims instead of the good ones."""
    there = await way_there(client)
    now = site.world.clock.now() // SECOND
    provider.challenge = there["code_challenge"]
    good = {
        "iss": provider.issuer, "sub": "s-1", "aud": CLIENT, "nonce": there["nonce"], "iat": now, "exp": now + 300,
        "email": "mia@example.org", "email_verified": True, "preferred_username": "mia", "name": "Mia",
    }  # fmt: skip
    provider.claims = {name: value for name, value in (good | changes).items() if value is not None}
    return await client.get("/sign-in/with/lab/back", params={"code": CODE, "state": there["state"]})


async def names(site: Site) -> set[str]:
    found = await site.world.db.read(list_users, site.world.actor)
    return {user.name for user in found.items}


def only_provider(uow: UnitOfWork, root: Actor, vault: Vault, number: int) -> str:
    """Make a provider in place of those there are, for there may be few; its name."""
    for one in all_providers(uow):
        remove_provider(uow, root, one.name)
    name = f"p{number}"
    wanted = NewProvider(
        name=name, issuer=f"https://{name}.example.org", client_id="x", organization_id=root.organization_id
    )
    return create_provider(uow, root, vault, wanted).name
