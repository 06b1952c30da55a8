"""Registered images."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, String, Table, Text

from dais.kit.database import Id, Instant, metadata

images = Table(
    "images",
    metadata,
    Column("group_name", String(63), ForeignKey("resource_groups.name"), primary_key=True),
    Column("name", String(63), primary_key=True),
    # A root directory of the group's machines.
    Column("path", Text, nullable=False),
    Column("system", String(255)),
    Column("python", Text),
    # Counted when it is first asked for.
    Column("size", BigInteger),
    Column("created_by", Id, nullable=False),
    Column("created_at", Instant, nullable=False),
)
