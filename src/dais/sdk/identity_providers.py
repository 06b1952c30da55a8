"""OpenID providers with which people sign in; for administrators."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dais.sdk.flow import Asynchronous, Blocking, Flow, Items, Request, Resource, listing, operation, quoted
from dais.sdk.pages import whole
from dais.wire.identities import IdentityProvider

SCOPES = "openid email profile"


class IdentityProvidersApi(Resource):
    """Identity providers of the installation."""

    @listing
    def list(self) -> Items[IdentityProvider]:
        """Every one, by name; without secrets. Raises Forbidden."""
        yield from whole(self, "/v1/identity-providers", IdentityProvider)

    @operation
    def new(
        self,
        name: str,
        issuer: str,
        client_id: str,
        client_secret: str | None = None,
        *,
        organization: str | None = None,
        label: str = "",
        scopes: str = SCOPES,
        creates_users: bool = False,
        links_by_email: bool = False,
        strong: bool = False,
        internal: bool = False,
        domains: Sequence[str] = (),
        roles: Sequence[str] = (),
    ) -> Flow[IdentityProvider]:
        """Let people sign in with a provider, which knows Dais by this client id and secret.

        `roles` are `CLAIM=VALUE:ROLE`. `strong`: its people have shown a second factor there; `internal`: its host may
        have an internal address. Raises Invalid, Conflict, Forbidden.
        """
        fields = {
            "name": name,
            "issuer": issuer,
            "client_id": client_id,
            "client_secret": client_secret,
            "organization": organization,
            "label": label,
            "scopes": scopes,
            "creates_users": creates_users,
            "links_by_email": links_by_email,
            "strong": strong,
            "internal": internal,
            "domains": list(domains),
            "roles": list(roles),
        }
        request = Request("POST", "/v1/identity-providers", body=msgspec.json.encode(fields))
        return (yield from self.call(request, IdentityProvider))

    @operation
    def rm(self, name: str) -> Flow[None]:
        """Let nobody sign in with it any more. Raises NotFound."""
        yield from self.send(Request("DELETE", f"/v1/identity-providers/{quoted(name)}"))


class IdentityProviders(IdentityProvidersApi, Blocking):
    """Identity providers, blocking."""


class AsyncIdentityProviders(IdentityProvidersApi, Asynchronous):
    """Identity providers, on asyncio."""
