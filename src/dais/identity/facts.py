"""What users tell of themselves, for what is kept about them elsewhere."""

from __future__ import annotations

from sqlalchemy import BigInteger, case, cast, select

from dais.identity.tables import users

USER_ROWS = (
    select(
        users.c.id,
        users.c.organization_id,
        users.c.id.label("resource"),
        users.c.name.label("ref"),
        users.c.name.label("full_path"),
        users.c.id.label("created_by"),
        users.c.created_at,
        cast(users.c.created_at, BigInteger).label("create_time"),
        users.c.number,
        case((users.c.disabled_at.is_(None), "active"), else_="disabled").label("state"),
    )
    .select_from(users)
    .subquery("facts")
)
"""One row for each user; nobody is noted as who made one, so it is made by itself."""
