"""Signing in with an identity provider: the way there, and back with a code."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from dais.identity import (
    Challenge,
    Claims,
    Entry,
    IdentityProvider,
    all_providers,
    find_provider,
    lost_challenge,
    new_challenge,
    signed_in,
    take_challenge,
    user_of,
)
from dais.kit.database import UnitOfWork
from dais.kit.errors import Unauthenticated
from dais.web.frame import Frame, see_other
from dais.web.guard import CHALLENGE_COOKIE, browser_of, cookie_name, drop_cookie, local, set_cookie
from dais.web.pages.sign_in import entered

PURPOSE = "oidc"


async def go_there(request: Request, frame: Frame) -> Response:
    """To the provider. The browser keeps a secret, from which all is derived that it must bring back."""
    services = frame.services
    services.limits.login(browser_of(request, services).address)
    provider: IdentityProvider = await services.db.read(find_provider, request.path_params["name"])
    after = local(request.query_params.get("next", ""))
    secret: str = await services.db.write(new_challenge, PURPOSE, provider.id, after)
    response = see_other(await frame.relying_party.way_there(provider, _back(frame, provider), secret))
    set_cookie(request, response, secret, CHALLENGE_COOKIE)
    return response


async def come_back(request: Request, frame: Frame) -> Response:
    """From the provider, with a code or a refusal. Whatever comes of it, the browser's secret is used up."""
    services = frame.services
    provider: IdentityProvider = await services.db.read(find_provider, request.path_params["name"])
    challenge = await taken(request, frame, PURPOSE)
    given = request.query_params
    if challenge.subject != provider.id or given.get("state") != challenge.derived("state"):
        raise lost_challenge()
    if given.get("iss", provider.issuer) != provider.issuer:
        raise lost_challenge()
    if "error" in given or not given.get("code"):
        raise Unauthenticated(
            f"{provider.label} did not let you in ({given.get('error', 'no code')[:80]}); begin again, or sign in "
            "another way",
            code="sso-refused",
        )
    claims = await frame.relying_party.who_came(
        provider, _back(frame, provider), challenge.secret, given["code"][:4096]
    )
    entry: Entry = await services.db.write(_enter, frame, provider, claims, request)
    response = entered(request, entry, challenge.back)
    drop_cookie(request, response, CHALLENGE_COOKIE)
    return response


async def taken(request: Request, frame: Frame, purpose: str) -> Challenge:
    """What this browser was given to bring back, used up by it. Raises Unauthenticated `no-challenge`."""
    secret = request.cookies.get(cookie_name(request, CHALLENGE_COOKIE), "")
    found: Challenge | None = await frame.services.db.write(take_challenge, purpose, secret)
    if found is None:
        raise lost_challenge()
    return found


async def ways_in(frame: Frame) -> list[IdentityProvider]:
    """The providers that people can sign in with."""
    found: list[IdentityProvider] = await frame.services.db.read(all_providers)
    return found


def _enter(uow: UnitOfWork, frame: Frame, provider: IdentityProvider, claims: Claims, request: Request) -> Entry:
    user = user_of(uow, provider, claims)
    settings = frame.services.desk.settings
    return signed_in(
        uow, user.id, "oidc", browser=browser_of(request, frame.services), settings=settings, strong=provider.strong
    )


def _back(frame: Frame, provider: IdentityProvider) -> str:
    return f"{frame.services.url}/sign-in/with/{provider.name}/back"
