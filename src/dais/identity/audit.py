"""The audit log: who did what to which URN, from where, and whether it was allowed.

What changes something is written down with the change, in its transaction; what was refused by the edge, in one of its
own. Plain reads are not written down. Secrets are in neither: a row names things, never what they hold.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import insert

from dais.identity.tables import audit
from dais.identity.types import Actor
from dais.identity.urns import INSTALLATION
from dais.kit.database import Statement, UnitOfWork
from dais.kit.errors import Forbidden
from dais.kit.ids import new_id

_insert = Statement(insert(audit))
_UUID = 36
OWN = "(installation)"
"""Who did what the installation did by itself: no user has such a name."""


def record(
    uow: UnitOfWork,
    actor: Actor,
    action: str,
    urn: str,
    organization_id: str,
    *,
    allowed: bool,
    detail: str | None = None,
) -> None:
    """Write it down with this unit. `detail` is a JSON document without secrets."""
    _record(
        uow,
        action,
        urn,
        organization_id,
        allowed=allowed,
        detail=detail,
        user_id=None if actor.installation else actor.id,
        user_name=OWN if actor.installation else f"{actor.organization}.{actor.name}",
        token_id=actor.token_id,
        role_id=actor.role_id,
        address=actor.address,
    )


def record_anonymous(
    uow: UnitOfWork,
    name: str,
    action: str,
    urn: str,
    organization_id: str = INSTALLATION,
    *,
    allowed: bool,
    address: str,
    detail: str | None = None,
) -> None:
    """The same of somebody who is not known, or not yet: an attempt to sign in. `name` is whom they said to be.

    Give only names of users that exist: what people type in a name's place may be their password.
    """
    _record(uow, action, urn, organization_id, allowed=allowed, detail=detail, user_name=name, address=address)


def record_refusal(uow: UnitOfWork, actor: Actor, error: Forbidden, *, omitted: int = 0) -> None:
    """Write down what an actor was refused; `omitted` more of theirs before it were only counted."""
    fields = error.fields
    detail: dict[str, Any] = {"code": error.code}
    if omitted:
        detail["omitted"] = omitted
    record(
        uow,
        actor,
        str(fields["action"]),
        str(fields.get("urn") or ""),
        str(fields.get("organization_id") or actor.organization_id),
        allowed=False,
        detail=msgspec.json.encode(detail).decode(),
    )


def _record(
    uow: UnitOfWork,
    action: str,
    urn: str,
    organization_id: str,
    *,
    allowed: bool,
    detail: str | None,
    user_name: str,
    address: str,
    user_id: str | None = None,
    token_id: str | None = None,
    role_id: str | None = None,
) -> None:
    uow.later(
        _insert,
        {
            "id": new_id(),
            "at": uow.now,
            "organization_id": organization_id[:_UUID],
            "user_id": user_id,
            "user_name": user_name[:255],
            "token_id": token_id,
            "role_id": role_id,
            "action": action[:64],
            "urn": urn[:1024],
            "allowed": int(allowed),
            "address": address[:64],
            "detail": detail,
        },
    )
