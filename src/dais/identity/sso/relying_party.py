"""The conversation with an identity provider: discovery, the way there, the code for tokens, the keys of these.

Authorization code flow with PKCE. State, nonce and verifier are derived from a secret that only the browser has which
began (`identity.challenges`). Every request goes through the guard against internal addresses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import msgspec

from dais.identity.challenges import derived
from dais.identity.sso.id_tokens import UnknownKey, bad_token, check_id_token, claims_of
from dais.identity.sso.providers import bound_to
from dais.identity.sso.types import Claims, IdentityProvider
from dais.kit.addresses import Allowed, Internal
from dais.kit.clock import SECOND, Clock
from dais.kit.errors import Unauthenticated, Unavailable
from dais.kit.vault import Vault

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

log = logging.getLogger(__name__)

KEPT_SECONDS = 3600
"""For how long what a provider says of itself, and its keys, are believed without asking again."""
KEYS_SECONDS = 30
"""A token of an unknown key makes the keys be asked for again, at most so often."""
MOST_SECONDS = 20.0
"""For one step of the conversation, however many requests it takes."""
METHODS = ("client_secret_basic", "client_secret_post")


@dataclass
class _Known:
    """What is known of one provider. Instants are µs."""

    metadata: dict[str, Any] = field(default_factory=dict)
    metadata_at: int = 0
    keys: list[dict[str, Any]] = field(default_factory=list)
    keys_at: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class RelyingParty:
    """Talks to providers for one installation, and remembers what they say of themselves."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def way_there(self, provider: IdentityProvider, redirect_uri: str, secret: str) -> str:
        """The address at which somebody signs in at the provider. Raises Unavailable `provider-unreachable`."""
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        async with self._talk(provider) as client:
            metadata = await self._metadata(provider, client)
        query = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": provider.scopes,
            "state": derived(secret, "state"),
            "nonce": derived(secret, "nonce"),
            "code_challenge": create_s256_code_challenge(derived(secret, "verifier")),
            "code_challenge_method": "S256",
        }
        address: str = metadata["authorization_endpoint"]
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}"

    async def who_came(self, provider: IdentityProvider, redirect_uri: str, secret: str, code: str) -> Claims:
        """Who has come back from the provider with a code, proved by its ID token.

        Raises Unauthenticated `sso-refused`, `bad-id-token`; Unavailable `provider-unreachable`.
        """
        async with self._talk(provider) as client:
            metadata = await self._metadata(provider, client)
            token = await self._exchange(provider, client, metadata, redirect_uri, secret, code)
            raw, access_token = token.get("id_token"), token.get("access_token")
            if not isinstance(raw, str):
                raise bad_token("there is no ID token in it")
            access_token = access_token if isinstance(access_token, str) else None
            claims = await self._checked(provider, client, metadata, raw, access_token, derived(secret, "nonce"))
            if "email" not in claims and access_token and isinstance(metadata.get("userinfo_endpoint"), str):
                claims |= await self._userinfo(provider, client, metadata, access_token, claims["sub"])
        return claims_of(claims)

    def way_out(self, provider: IdentityProvider, back: str) -> str | None:
        """Where somebody signs out at the provider, too; None where it tells no such address, or was not asked yet."""
        known = self._known.get(provider.id)
        address = known.metadata.get("end_session_endpoint") if known else None
        if not isinstance(address, str):
            return None
        query = urlencode({"client_id": provider.client_id, "post_logout_redirect_uri": back})
        return f"{address}{'&' if '?' in address else '?'}{query}"

    @asynccontextmanager
    async def _talk(self, provider: IdentityProvider) -> AsyncIterator[AsyncOAuth2Client]:
        """A client for one step; what goes wrong on the way is told as the provider's being unreachable."""
        import httpx2
        from authlib.integrations.base_client import OAuthError
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        from dais.kit.fetching import guarded

        host = urlsplit(provider.issuer).hostname or ""
        allowed = Allowed(names=frozenset({host})) if provider.internal else Allowed()
        secret = self._vault.open(provider.sealed, *bound_to(provider.id)).decode() if provider.sealed else None
        try:
            async with (
                asyncio.timeout(MOST_SECONDS),
                AsyncOAuth2Client(provider.client_id, secret, **guarded(allowed)) as client,
            ):
                yield client
        except OAuthError as error:
            log.info("the identity provider %s refused: %s", provider.name, str(error)[:300])
            raise Unauthenticated(
                f"{provider.label} did not confirm who you are ({str(error.error)[:80]}); begin again",
                code="sso-refused",
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, Internal, OSError, TimeoutError, ValueError) as error:
            log.warning("the identity provider %s cannot be used: %s", provider.name, str(error)[:300] or type(error))
            raise Unavailable(
                f"{provider.label} cannot be reached at this moment; sign in another way, or try again in a while",
                code="provider-unreachable",
                retry_after=30,
            ) from error

    async def _metadata(self, provider: IdentityProvider, client: AsyncOAuth2Client) -> dict[str, Any]:
        known = self._known.setdefault(provider.id, _Known())
        async with known.lock:
            if not known.metadata or self._age(known.metadata_at) > KEPT_SECONDS:
                address = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
                found = await _json(client, address)
                if found.get("issuer") != provider.issuer:
                    raise ValueError(f"it calls itself {str(found.get('issuer'))[:200]!r}, not {provider.issuer!r}")
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    _check_endpoint(found.get(name), name, provider)
                for name in ("userinfo_endpoint", "end_session_endpoint"):
                    if name in found:
                        _check_endpoint(found[name], name, provider)
                known.metadata, known.metadata_at = found, self._clock.now()
            return known.metadata

    async def _keys(
        self, provider: IdentityProvider, client: AsyncOAuth2Client, metadata: Mapping[str, Any], *, unknown: bool
    ) -> list[dict[str, Any]]:
        """The provider's keys; asked for again when a token was signed with an unknown one, but not at every such."""
        known = self._known[provider.id]
        async with known.lock:
            age = self._age(known.keys_at)
            if not known.keys or age > KEPT_SECONDS or (unknown and age >= KEYS_SECONDS):
                found = (await _json(client, metadata["jwks_uri"])).get("keys")
                if not isinstance(found, list):
                    raise ValueError("its keys are no list")
                known.keys = [key for key in found if isinstance(key, dict)]
                known.keys_at = self._clock.now()
            return known.keys

    async def _exchange(
        self,
        provider: IdentityProvider,
        client: AsyncOAuth2Client,
        metadata: Mapping[str, Any],
        redirect_uri: str,
        secret: str,
        code: str,
    ) -> dict[str, Any]:
        supported = metadata.get("token_endpoint_auth_methods_supported") or METHODS
        method = next((name for name in METHODS if name in supported), METHODS[0]) if provider.sealed else "none"
        client.token_endpoint_auth_method = method
        token = await client.fetch_token(
            metadata["token_endpoint"],
            grant_type="authorization_code",
            code=code,
            redirect_uri=redirect_uri,
            code_verifier=derived(secret, "verifier"),
        )
        return dict(token)

    async def _checked(
        self,
        provider: IdentityProvider,
        client: AsyncOAuth2Client,
        metadata: Mapping[str, Any],
        raw: str,
        access_token: str | None,
        nonce: str,
    ) -> dict[str, Any]:
        now = self._clock.now() // SECOND
        for unknown in (False, True):
            keys = await self._keys(provider, client, metadata, unknown=unknown)
            try:
                return check_id_token(raw, keys, provider, nonce=nonce, access_token=access_token, now=now)
            except UnknownKey as error:
                why = error
        raise bad_token(f"the key that it is signed with is not the provider's: {why}")

    async def _userinfo(
        self,
        provider: IdentityProvider,
        client: AsyncOAuth2Client,
        metadata: Mapping[str, Any],
        access_token: str,
        subject: str,
    ) -> dict[str, Any]:
        """What the provider tells of somebody beside the token, which must be about the same one."""
        found = await _json(client, metadata["userinfo_endpoint"], bearer=access_token)
        if found.get("sub") != subject:
            raise bad_token("it tells of somebody else than its token")
        return {name: value for name, value in found.items() if name not in ("iss", "aud", "exp", "iat", "nonce")}

    def _age(self, instant: int) -> int:
        return (self._clock.now() - instant) // SECOND


async def _json(client: AsyncOAuth2Client, address: str, *, bearer: str | None = None) -> dict[str, Any]:
    headers = {"accept": "application/json"} | ({"authorization": f"Bearer {bearer}"} if bearer else {})
    answer = await client.request("GET", address, withhold_token=True, headers=headers)
    if answer.status_code != 200:
        raise ValueError(f"{address} answered {answer.status_code}")
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{address} answered no JSON object: {error}") from error


def _check_endpoint(address: object, name: str, provider: IdentityProvider) -> None:
    schemes = ("https", "http") if provider.internal else ("https",)
    parts = urlsplit(address) if isinstance(address, str) else None
    if parts is None or parts.scheme not in schemes or not parts.hostname or parts.fragment:
        raise ValueError(f"its {name} is {str(address)[:200]!r}, no https address")
