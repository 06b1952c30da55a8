"""Cached virtual environments."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from dais.kit.database import Document, Id, Instant, metadata

environments = Table(
    "environments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, nullable=False),
    # What it is built from: requirements, interpreter and platform, hashed.
    Column("key", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("requirements", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("interpreter", String(255), nullable=False),
    Column("detail", Text),
    Column("attempt_id", Id),
    Column("handle", Document),
    # The job whose preparation builds it: that job's log begins with the build's.
    Column("built_for_run", Id),
    Column("log_segments", Document),
    Column("size", BigInteger),
    Column("created_at", Instant, nullable=False),
    Column("built_at", Instant),
    Column("last_used_at", Instant),
    Index("uq_environments_organization_id_key", "organization_id", "key", unique=True),
)
