"""What other parts see of identities. All frozen; instants are µs since the epoch."""

from __future__ import annotations

import msgspec


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something. `account_id` is the personal account; `token_id` is None when no token was used."""

    id: str
    number: int
    name: str
    organization_id: str
    organization: str
    account_id: str
    administrator: bool
    token_id: str | None = None


class Authenticated(msgspec.Struct, frozen=True, kw_only=True):
    """The actor of a token, and until when the token holds (None: for ever)."""

    actor: Actor
    token_id: str
    expires_at: int | None

    def expired(self, now: int) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A node of an organization's tree. `full_name` is `organization.parent.name`."""

    id: str
    name: str
    full_name: str
    organization_id: str
    organization: str
    parent_id: str | None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person. `account_id` is the personal account."""

    id: str
    number: int
    name: str
    organization_id: str
    account_id: str
    administrator: bool


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token just made. `secret` is shown this once and is stored nowhere."""

    id: str
    secret: str
    expires_at: int | None
