"""The audit log: who did what to which URN, from where, and whether it was allowed.

What changes something is written down with the change, in its transaction; what was refused by the edge, in one of its
own. Plain reads are not written down. Secrets are in neither: a row names things, never what they hold.
"""

from __future__ import annotations

from sqlalchemy import insert

from dais.identity.tables import audit
from dais.identity.types import Actor
from dais.kit.database import Statement, UnitOfWork
from dais.kit.ids import new_id

_insert = Statement(insert(audit))


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
    uow.later(
        _insert,
        {
            "id": new_id(),
            "at": uow.now,
            "organization_id": organization_id,
            "user_id": actor.id,
            "user_name": f"{actor.organization}.{actor.name}",
            "token_id": actor.token_id,
            "role_id": actor.role_id,
            "action": action,
            "urn": urn[:1024],
            "allowed": int(allowed),
            "address": actor.address,
            "detail": detail,
        },
    )
