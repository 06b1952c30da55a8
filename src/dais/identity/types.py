"""What other parts see of identities. All frozen; instants are µs since the epoch."""

from __future__ import annotations

from typing import Any

import msgspec


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who does something. `account_id` is the personal account; `token_id` is None when no token was used.

    `role_id`: a role's key is used, and only the role's rules hold; the user is who made the key. `narrowed` are the
    statements that bound what the token may do, None: none. `address` is where the request came from, for the audit.
    `installation`: it is nobody's doing, and the user only lends their rights.
    """

    id: str
    number: int
    name: str
    organization_id: str
    organization: str
    account_id: str
    administrator: bool
    token_id: str | None = None
    role_id: str | None = None
    narrowed: tuple[str, ...] | None = None
    address: str = ""
    installation: bool = False


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
    """A person. `account_id` is the personal account; `full_name` is for people to read, and may be missing."""

    id: str
    number: int
    name: str
    organization_id: str
    organization: str
    account_id: str
    administrator: bool
    email: str | None = None
    full_name: str | None = None
    disabled: bool = False
    created_at: int = 0


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token just made. `secret` is shown this once and is stored nowhere."""

    id: str
    secret: str
    expires_at: int | None


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """Users, and other teams. `full_name` is `organization.name`."""

    id: str
    name: str
    full_name: str
    organization_id: str
    organization: str


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """What its members inherit the policies of. It is attached to an `organization`, an `account` or a `team`.

    `full_name` is the parent's with the role's name behind it.
    """

    id: str
    name: str
    full_name: str
    organization_id: str
    parent_type: str
    parent_id: str
    predefined: bool


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a role or a team: a `user` or a `team`."""

    id: str
    name: str
    type: str


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Statements that are attached to a `user`, `team` or `role`. `predefined`: nobody made it."""

    id: str
    organization_id: str
    subject_type: str
    subject_id: str
    statements: tuple[str, ...]
    everywhere: bool
    predefined: bool
    created_by: str | None
    created_at: int


class Organization(msgspec.Struct, frozen=True, kw_only=True):
    """A top owner. `mfa_required`: its users need a second factor to sign in."""

    id: str
    name: str
    mfa_required: bool
    created_at: int


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A bearer token, or a pair that signs (it has an `access_key`), without its secret.

    `role_id`: it acts as the role; `narrowed`: statements that bound it.
    """

    id: str
    kind: str
    access_key: str | None
    label: str | None
    user_id: str
    role_id: str | None
    narrowed: tuple[str, ...] | None
    created_at: int
    expires_at: int | None
    last_used_at: int | None


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did, or was refused. `user` is `org.user` as it was then; `detail` holds no secrets."""

    id: str
    at: int
    organization_id: str
    user_id: str | None
    user: str
    token_id: str | None
    role_id: str | None
    action: str
    urn: str
    allowed: bool
    address: str
    detail: dict[str, Any]


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the way to a rule: a `user`, `team` or `role` with its full name, or the `installation`."""

    type: str
    id: str
    name: str


class HeldRule(msgspec.Struct, frozen=True, kw_only=True):
    """An action and a URN expression that somebody has; `through` leads from them to whom the policy is attached to."""

    action: str
    expression: str
    policy_id: str | None
    through: tuple[Link, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether somebody may do something, and the statements that say so. `narrowed`: the token used may not."""

    action: str
    urn: str
    allowed: bool
    narrowed: bool
    rules: tuple[HeldRule, ...]


class AllowedOne(msgspec.Struct, frozen=True, kw_only=True):
    """A `user`, or a `role` of which there are `keys`, that may do something, and through whose statements."""

    type: str
    id: str
    name: str
    through: tuple[Link, ...]
    statements: tuple[str, ...]
    keys: int = 0


class WhoIsAllowed(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do something; `total` are all of them, `items` the first."""

    action: str
    urn: str
    total: int
    items: tuple[AllowedOne, ...]


class SimulatedPair(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a pair: `new`, `held` already (`through` what), or `refused` (`why`)."""

    action: str
    expression: str
    outcome: str
    through: tuple[Link, ...] = ()
    why: str = ""


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """A thing that could be reached, and the actions that would then be allowed on it."""

    type: str
    id: str
    name: str
    urn: str
    actions: tuple[str, ...]


class Simulation(msgspec.Struct, frozen=True, kw_only=True):
    """What statements would change. `users` is how many people it concerns, `names` are some of them."""

    pairs: tuple[SimulatedPair, ...]
    users: int
    names: tuple[str, ...]
    reachable: tuple[Reached, ...]
