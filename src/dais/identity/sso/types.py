"""What is known of a provider, and what a provider says of somebody."""

from __future__ import annotations

from typing import Any

import msgspec


class RoleRule(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever has `value` among a claim's values is a member of the role, and nobody else of the provider's users."""

    claim: str
    value: str
    role_id: str


class IdentityProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of identities. `sealed` is the client's secret, sealed by the vault; None: it has none.

    `strong`: its users have shown a second factor there. `internal`: its host may have an internal address.
    """

    id: str
    name: str
    label: str
    issuer: str
    client_id: str
    sealed: str | None
    scopes: str
    organization_id: str
    creates_users: bool
    links_by_email: bool
    strong: bool
    internal: bool
    domains: tuple[str, ...]
    roles: tuple[RoleRule, ...]
    created_at: int

    def __repr__(self) -> str:
        return f"IdentityProvider(name={self.name!r}, issuer={self.issuer!r})"


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of somebody, checked. `email` is None unless the provider has verified it."""

    subject: str
    email: str | None
    login: str | None
    full_name: str | None
    all: dict[str, Any]

    def of(self, claim: str) -> set[str]:
        """A claim's values as text, whether it is a list or one."""
        found = self.all.get(claim)
        items = found if isinstance(found, list) else [found]
        return {str(item) for item in items if isinstance(item, str | int | bool)}
