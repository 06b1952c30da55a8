"""What the native API answers of rules, and of the audit log. See `wire.answers`."""

from __future__ import annotations

from typing import Any

import msgspec

from dais.wire.answers import Answer


class Link(Answer, frozen=True, kw_only=True):
    """A step of the way to a rule: a `user`, `team`, `role`, or the `installation`."""

    type: str
    id: str
    name: str


class Rule(Answer, frozen=True, kw_only=True):
    """What somebody may do; `through` leads from them to what the policy is attached to."""

    action: str
    expression: str
    policy: str | None = None
    through: list[Link]


class Rules(Answer, frozen=True, kw_only=True):
    """All rules of somebody. `narrowed`: statements that bound the token which was used; None: none do."""

    items: list[Rule]
    narrowed: list[str] | None = None


class Explanation(Answer, frozen=True, kw_only=True):
    """Whether somebody may do `action` with the thing of a URN, and every statement that says so.

    `narrowed`: the token that was used is not good for it.
    """

    action: str
    urn: str
    allowed: bool
    narrowed: bool = False
    rules: list[Rule]


class Allowed(Answer, frozen=True, kw_only=True):
    """A `user`, or a `role` that has `keys`, that may do it, and by which statements, attached to what."""

    type: str
    id: str
    name: str
    keys: int = 0
    through: list[Link]
    statements: list[str]


class WhoIsAllowed(Answer, frozen=True, kw_only=True):
    """Everybody who may do it; `total` are all of them, `items` the first thousand."""

    action: str
    urn: str
    total: int
    items: list[Allowed]


class Action(Answer, frozen=True, kw_only=True):
    """What can be allowed, and what it means."""

    action: str
    meaning: str


class SimulatedPair(Answer, frozen=True, kw_only=True):
    """What would become of a pair: `new`, `held` already (`through` what), or `refused` (`why`)."""

    action: str
    expression: str
    outcome: str
    through: list[Link] = msgspec.field(default_factory=list)
    why: str = ""


class Reached(Answer, frozen=True, kw_only=True):
    """A thing that could be reached, and what could be done with it."""

    type: str
    id: str
    name: str
    urn: str
    actions: list[str]


class Simulation(Answer, frozen=True, kw_only=True):
    """What statements would change: for how many `users`, some of their `names`, some things they could reach."""

    pairs: list[SimulatedPair]
    users: int
    names: list[str]
    reachable: list[Reached]


class AuditEntry(Answer, frozen=True, kw_only=True):
    """What somebody did, or was refused. `user` is `org.user` as it was then; `address` is where it came from."""

    id: str
    at: str
    user: str
    action: str
    urn: str
    allowed: bool
    address: str
    organization: str
    user_id: str | None = None
    token: str | None = None
    role: str | None = None
    detail: dict[str, Any] = msgspec.field(default_factory=dict)
