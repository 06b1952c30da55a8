"""What kinds of entities are, for metadata, and what others see of one. All frozen; instants are µs since the epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, FromClause, bindparam, literal, or_

from dais.identity import INSTALLATION, Account, Actor
from dais.kit.database import UnitOfWork

FactType = Literal["text", "number", "instant"]


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has metadata: its id, and the account (or organization, or INSTALLATION) that it lies in."""

    id: str
    account_id: str


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A kind of entities, as the package that has them describes it.

    `type` is that of its permissions: `type:get` shows, `type:set` changes. `rows` has one row for each entity, with at
    least `id`, `account_id`, `resource` (the id in URNs), `ref` (what `find` takes), `created_by` and `created_at`, and
    a column for each of the `facts`: the keys that an entity has of itself, which nobody sets. `find` gives the entity
    that a reference means, when the actor may do the action with it; it raises NotFound and Forbidden.

    Where `holder` is "organization", they lie in no account: their rows have an `organization_id` instead, and those of
    the organization are searched that an account is in. With `everywhere` some are the installation's, which is their
    `account_id` and the beginning of their URNs: they are found from every account.
    """

    name: str
    type: str
    rows: FromClause
    facts: Mapping[str, FactType]
    find: Callable[[UnitOfWork, Actor, str, str | None, str], Entity]
    holder: Literal["account", "organization"] = "account"
    everywhere: bool = False

    @property
    def place(self) -> ColumnElement[Any]:
        """The column that tells where an entity lies: an account, or an organization."""
        return self.rows.c["account_id" if self.holder == "account" else "organization_id"]

    def is_here(self, place: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether what lies in `place` is among what is looked for from `:account_id`."""
        here = place == bindparam("account_id")
        return or_(here, place == literal(INSTALLATION)) if self.everywhere else here

    def place_of(self, account: Account) -> str:
        """Where entities are looked for, from an account."""
        return account.id if self.holder == "account" else account.organization_id

    def column(self, key: str) -> ColumnElement[Any]:
        """The column of a fact: `__size__` is `size`, `_id` is `ref`."""
        return self.rows.c["ref" if key == "_id" else key.strip("_")]


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an entity. Instants among `system` and `values` are `wire.meta.Moment`s."""

    kind: str
    id: str
    ref: str
    account: str
    created_by: str
    created_at: int
    system: dict[str, Any]
    values: dict[str, Any]
    tags: tuple[str, ...]


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """How many tags and key-values were removed."""

    tags: int
    keys: int
