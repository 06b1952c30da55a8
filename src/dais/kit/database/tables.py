"""The one `MetaData`, its constraint names, and the column types that both databases store alike."""

from __future__ import annotations

from sqlalchemy import BigInteger, MetaData, SmallInteger, String, Text

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
