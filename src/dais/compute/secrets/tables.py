"""Secrets of accounts. Their values are sealed by the installation's key (`kit.vault`)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from dais.kit.database import Id, Instant, metadata

secrets = Table(
    "secrets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("accounts.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("sealed", Text, nullable=False),
    # Bytes of the value, before it was sealed.
    Column("size", Integer, nullable=False),
    Column("set_by", Id, ForeignKey("users.id"), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("set_at", Instant, nullable=False),
    UniqueConstraint("account_id", "name"),
)
