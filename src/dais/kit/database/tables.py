"""The one `MetaData`, its constraint names, and the column types that both databases store alike."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Index, MetaData, SmallInteger, String, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = String(36)
"""A UUIDv7 as text."""

Instant = BigInteger()
"""Microseconds since the epoch, UTC."""

Flag = SmallInteger()
"""0 or 1: SQLite has no booleans, and one meaning on both databases is worth more than a type."""

Document = Text()
"""A JSON document, written and read by msgspec."""


def partial_index(name: str, *columns: Any, where: Any, unique: bool = False) -> Index:
    """An index of the rows that `where` holds for.

    The migrations make it for both databases. Only SQLite is told of it here: saying `postgresql_where`, too, would
    import that dialect into every process that knows the tables.
    """
    return Index(name, *columns, unique=unique, sqlite_where=where)
