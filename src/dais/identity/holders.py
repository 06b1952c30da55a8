"""Whose a credential is: what is read of its user, whatever the credential, and the actor that this makes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, Table, select

from dais.identity.tables import organizations, users
from dais.identity.types import Actor
from dais.kit.database import Row
from dais.kit.errors import Unauthenticated

HOLDER = (
    users.c.id.label("user_id"),
    users.c.number,
    users.c.name,
    users.c.organization_id,
    organizations.c.name.label("organization"),
    users.c.account_id,
    users.c.administrator_at,
    users.c.disabled_at,
)
"""Of a user and their organization, what `actor_of` reads."""


def with_holder(credentials: Table, *columns: ColumnElement[Any]) -> Select[Any]:
    """These columns of credentials, whose `user_id` says whose each is, beside what `actor_of` reads of the user."""
    return (
        select(*columns, *HOLDER)
        .select_from(credentials)
        .join(users, users.c.id == credentials.c.user_id)
        .join(organizations, organizations.c.id == users.c.organization_id)
    )


def require_enabled(holder: Row) -> None:
    """Raise Unauthenticated `user-disabled` for a user who may not come in any more."""
    if holder.disabled_at is not None:
        raise Unauthenticated(f"the user {holder.name} is disabled; ask an administrator", code="user-disabled")


def actor_of(holder: Row) -> Actor:
    """The user of a row that has HOLDER's columns, with all that they may. Raises as `require_enabled` does."""
    require_enabled(holder)
    return Actor(
        id=holder.user_id,
        number=holder.number,
        name=holder.name,
        organization_id=holder.organization_id,
        organization=holder.organization,
        account_id=holder.account_id,
        administrator=holder.administrator_at is not None,
    )
